// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

/** How a classifier is opened. Without a call it is as it suits a phone. */
public final class Options {
    int threads;
    boolean spin;
    boolean xnnpack;
    String model;
    String runtime;

    /**
     * Sets the threads of one call.
     *
     * @param threads 0: as many as there are cores. A phone's cores differ: 2 to 4, no more than it
     *     has fast ones, are often faster than all
     */
    public Options threads(int threads) {
        this.threads = threads;
        return this;
    }

    /** Lets idle threads wait actively: faster, and it empties the battery. They sleep if unset. */
    public Options spin(boolean spin) {
        this.spin = spin;
        return this;
    }

    /**
     * Asks for ONNX Runtime's XNNPACK provider. Where the library has none, the classifier runs
     * without, and {@link ResnetClassifier#notice} says so.
     */
    public Options xnnpack(boolean xnnpack) {
        this.xnnpack = xnnpack;
        return this;
    }

    /** Names the model file of a folder, such as model.ort; model.onnx if unset. */
    public Options model(String model) {
        this.model = model;
        return this;
    }

    /** Names the runtime, onnxruntime or openvino; the first that works here if unset. */
    public Options runtime(String runtime) {
        this.runtime = runtime;
        return this;
    }
}
