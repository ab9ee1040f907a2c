# SPDX-License-Identifier: Apache-2.0
{% set kinds = runtimes | map(attribute="kind.value") | list %}
# cmake --install build --prefix FOLDER makes a folder that runs wherever it is put, on any Linux
# that has libc and libstdc++:
#
#   bin/                      classify, selftest
#   lib/                      this library, the runtimes, and what reads pictures
#   include/                  the headers
#   share/resnet_classifier/  model, labels, golden cases, manifest, licences
#
# A runtime that is a package of the system stays there: it needs further packages.
set(share share/resnet_classifier)
if(APPLE)
  set(beside "@loader_path")
else()
  set(beside "$ORIGIN")
endif()

install(TARGETS classify selftest RUNTIME DESTINATION bin)
set_target_properties(classify selftest PROPERTIES INSTALL_RPATH "${beside}/../lib")
foreach(library resnet_classifier resnet_openvino)
  if(TARGET ${library})
    install(TARGETS ${library}
      ARCHIVE DESTINATION lib
      LIBRARY DESTINATION lib
      RUNTIME DESTINATION bin)
    set_target_properties(${library} PROPERTIES INSTALL_RPATH "${beside}")
  endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION include)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/golden DESTINATION ${share})
foreach(file
{% for network in networks %}
    {{ network.file | word }}
{% endfor %}
    labels.txt manifest.json LICENSE THIRD_PARTY_LICENSES)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${file})
    install(FILES ${PROJECT_SOURCE_DIR}/${file} DESTINATION ${share})
  endif()
endforeach()
if(WIN32)
  set(libraries bin)
else()
  set(libraries lib)
endif()

# Libraries are opened by their sonames: under that name, a file each, without links.
function(install_library file)
  get_filename_component(name "${file}" NAME)
  get_filename_component(real "${file}" REALPATH)
  install(FILES "${real}" DESTINATION ${libraries} RENAME "${name}")
endfunction()
{% if "ort" in kinds %}

if(EXISTS "${ORT_LIBRARY}")
  get_filename_component(real "${ORT_LIBRARY}" REALPATH)
  if(UNIX AND NOT APPLE)
    install(FILES "${real}" DESTINATION lib RENAME libonnxruntime.so.1)
  elseif(APPLE)
    install_library("${real}")
  else()
    get_filename_component(folder "${ORT_LIBRARY}" DIRECTORY)
    install_library("${folder}/onnxruntime.dll")
  endif()
endif()
{% endif %}
{% if "openvino" in kinds %}

if(TARGET openvino::runtime AND UNIX AND NOT APPLE)
  get_target_property(openvino openvino::runtime IMPORTED_LOCATION_RELEASE)
  if(NOT openvino)
    get_target_property(openvino openvino::runtime IMPORTED_LOCATION)
  endif()
  get_filename_component(folder "${openvino}" DIRECTORY)
  # Of OpenVINO: the core, the plugin for CPUs, and the reader of ONNX files. A release has oneTBB
  # in a folder of its own.
  file(GLOB found
    "${folder}/libopenvino.so.*"
    "${folder}/libopenvino_*_cpu_plugin.so"
    "${folder}/libopenvino_onnx_frontend.so.*"
    "${folder}/libtbb*.so.*"
    "${folder}/libhwloc.so.*"
    "${folder}/../../3rdparty/tbb/lib/libtbb*.so.*"
    "${folder}/../../3rdparty/tbb/lib/libhwloc.so.*")
  foreach(file ${found})
    if(file MATCHES "_cpu_plugin[.]so$|[.]so[.][0-9]+$" AND NOT file MATCHES "_proxy|_debug")
      install_library("${file}")
    endif()
  endforeach()
endif()
{% endif %}

if(UNIX AND NOT APPLE)
  # classify's libraries for pictures need others: an RPATH, unlike a RUNPATH, is searched for those,
  # too.
  target_link_libraries(classify PRIVATE -Wl,--disable-new-dtags)
  install(CODE [==[
    get_filename_component(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}" ABSOLUTE)
    file(GET_RUNTIME_DEPENDENCIES
      EXECUTABLES "$<TARGET_FILE:classify>"
      RESOLVED_DEPENDENCIES_VAR found
      UNRESOLVED_DEPENDENCIES_VAR missing
      PRE_EXCLUDE_REGEXES
        "^lib(c|m|dl|rt|pthread|gcc_s|stdc[+][+])[.]so"
        "^lib(resnet_classifier|resnet_openvino|onnxruntime|openvino|tbb)"
        "^ld-linux")
    foreach(file ${found})
      get_filename_component(name "${file}" NAME)
      get_filename_component(real "${file}" REALPATH)
      file(INSTALL "${real}" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib" RENAME "${name}")
    endforeach()
    if(missing)
      message(WARNING "not found, so not installed: ${missing}")
    endif()

    # Sizes of what was installed, whatever else the folder holds; CMake has no fractions.
    set(total 0)
    foreach(file ${CMAKE_INSTALL_MANIFEST_FILES})
      get_filename_component(file "$ENV{DESTDIR}${file}" ABSOLUTE)
      file(SIZE "${file}" size)
      math(EXPR total "${total} + ${size}")
      if(size GREATER 1000000)
        math(EXPR whole "${size} / 1000000")
        file(RELATIVE_PATH name "${prefix}" "${file}")
        message(STATUS "${name}: ${whole} MB")
      endif()
    endforeach()
    math(EXPR whole "${total} / 1000000")
    math(EXPR tenth "${total} / 100000 % 10")
    message(STATUS "Ships ${whole}.${tenth} MB, in ${prefix}")
  ]==])
endif()
