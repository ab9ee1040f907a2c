// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

/** One array that the network gives for a picture: a feature map, an embedding, or scores. */
public final class Output {
    private final String name;
    private final long[] shape;
    private final float[] values;

    Output(String name, long[] shape, float[] values) {
        this.name = name;
        this.shape = shape;
        this.values = values;
    }

    /** What the network calls it. */
    public String getName() {
        return name;
    }

    /** Its dimensions, without the batch. */
    public long[] getShape() {
        return shape.clone();
    }

    /** The values, the last dimension running fastest; they are the receiver's own. */
    public float[] getValues() {
        return values;
    }
}
