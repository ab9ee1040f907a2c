// SPDX-License-Identifier: Apache-2.0
// An Android library module with the classifier. Needs the Android Gradle Plugin and the NDK.
plugins {
    id("com.android.library")
}

// The newest release that was tested; any from {{ min_onnxruntime | word }} on will do.
val onnxruntimeVersion = "{{ max_onnxruntime | word }}"
val onnxruntimeAar: Configuration by configurations.creating
val unpackedAar = layout.buildDirectory.dir("onnxruntime-android")

android {
    namespace = "resnetdeploy"
    compileSdk = 35
    defaultConfig {
        minSdk = 24
        externalNativeBuild {
            cmake {
                arguments("-DORT_AAR=${unpackedAar.get().asFile}", "-DANDROID_STL=c++_shared")
            }
        }
    }
    externalNativeBuild {
        cmake {
            path = file("CMakeLists.txt")
        }
    }
}

dependencies {
    implementation("com.microsoft.onnxruntime:onnxruntime-android:$onnxruntimeVersion")
    onnxruntimeAar("com.microsoft.onnxruntime:onnxruntime-android:$onnxruntimeVersion@aar")
}

// The archive holds the headers and the library that the native code is built with.
val unpackOnnxruntime by tasks.registering(Sync::class) {
    from({ zipTree(onnxruntimeAar.singleFile) })
    into(unpackedAar)
}

tasks.configureEach {
    if (name.startsWith("configureCMake") || name == "preBuild") {
        dependsOn(unpackOnnxruntime)
    }
}
