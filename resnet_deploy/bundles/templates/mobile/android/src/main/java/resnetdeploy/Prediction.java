// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

/** One class that a picture may show. */
public final class Prediction {
    private final int index;
    private final String label;
    private final float score;
    private final float probability;

    Prediction(int index, String label, float score, float probability) {
        this.index = index;
        this.label = label;
        this.score = score;
        this.probability = probability;
    }

    /** The number of the class, from 0. */
    public int getIndex() {
        return index;
    }

    /** The name of the class. */
    public String getLabel() {
        return label;
    }

    /** What the network says: a logit, or a probability. */
    public float getScore() {
        return score;
    }

    /** From 0 to 1, by softmax where the score is a logit. */
    public float getProbability() {
        return probability;
    }

    @Override
    public String toString() {
        return label + " " + probability;
    }
}
