// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.List;
import java.util.Locale;

/**
 * Runs the golden cases through ResnetClassifier and its native library, with each model file.
 *
 * <p>Its argument is the folder of the bundle. It prints PASS, or the first case that differs and
 * where, and then exits with 1.
 */
final class SelfTest {
    private static final class Case {
        final String name;
        final String picture;
        final String input;
        final String scores;
        final int top1;
        final boolean top1IsDecided;

        Case(String name, String picture, String input, String scores, int top1,
                boolean top1IsDecided) {
            this.name = name;
            this.picture = picture;
            this.input = input;
            this.scores = scores;
            this.top1 = top1;
            this.top1IsDecided = top1IsDecided;
        }
    }

    private static final String[] MODELS = {
{% for model in models %}
        {{ model.file | js }},
{% endfor %}
    };
    private static final double TOLERANCE = {{ network.tolerances[0] }};
    private static final boolean IS_INT8 = {{ "true" if network.artifact.precision == "int8" else "false" }};

    private static final Case[] CASES = {
{% for case in cases %}
        new Case({{ case.name | js }}, {{ case.image_file | js }},
                {{ case.tensor_file | js }}, {{ network.scores_file(case, runtimes[0]) | js }},
                {{ network.answers[0][loop.index0].top1 }}, {{ "true" if network.top1_is_decided(0, loop.index0) else "false" }}),
{% endfor %}
    };

    private SelfTest() {}

    /** Runs all cases in the folder args[0]. */
    public static void main(String[] args) {
        if (args.length != 1) {
            System.out.println("FAIL: name the folder of the bundle");
            System.exit(1);
        }
        try {
            System.out.println(run(new File(args[0])));
        } catch (Different different) {
            System.out.println("FAIL: " + different.getMessage());
            System.exit(1);
        } catch (IOException | RuntimeException error) {
            System.out.println("FAIL: " + error.getMessage());
            System.exit(1);
        }
    }

    private static String run(File folder) throws IOException, Different {
        double largest = 0;
        String runtime = "";
        for (String model : MODELS) {
            try (ResnetClassifier classifier = ResnetClassifier.open(folder, model, 1)) {
                runtime = classifier.runtime();
                for (Case golden : CASES) {
                    largest = Math.max(largest, check(classifier, folder, model, golden));
                }
            }
        }
        return "PASS: " + MODELS.length + " model files x " + CASES.length
                + " cases; inputs equal, scores differ by " + String.format(Locale.ROOT, "%.2g", largest)
                + " of the largest score (at most " + String.format(Locale.ROOT, "%.2g", TOLERANCE)
                + "), " + runtime;
    }

    /** Returns the largest difference of the scores, as a share of the largest score. */
    private static double check(ResnetClassifier classifier, File folder, String model, Case golden)
            throws IOException, Different {
        String where = model + ", " + golden.name + ": ";
        Picture picture = new Picture(read(folder, golden.picture));
        byte[] expectedInput = read(folder, golden.input);
        byte[] input = classifier.prepare(picture.rgb, picture.width, picture.height);
        if (input.length != expectedInput.length) {
            throw new Different(where + "the input has " + input.length + " bytes, not "
                    + expectedInput.length);
        }
        for (int i = 0; i < input.length; i++) {
            if (input[i] != expectedInput[i]) {
                throw new Different(where + "byte " + i + " of the input is " + (input[i] & 255)
                        + ", not " + (expectedInput[i] & 255));
            }
        }
        float[] scores = classifier.scores(picture.rgb, picture.width, picture.height);
        double difference = compare(where, scores, read(folder, golden.scores));
        List<Prediction> top = classifier.classify(picture.rgb, picture.width, picture.height, 1);
        if (golden.top1IsDecided && top.get(0).getIndex() != golden.top1) {
            throw new Different(where + "the best class is " + top.get(0).getIndex() + ", not "
                    + golden.top1);
        }
        for (int degrees = 0; degrees < 360; degrees += 90) {
            boolean lies = degrees % 180 != 0;
            Prediction turned =
                    classifier.classifyArgb(
                            picture.stored(degrees), lies ? picture.height : picture.width,
                            lies ? picture.width : picture.height, degrees, 1).get(0);
            if (turned.getIndex() != top.get(0).getIndex()
                    || turned.getScore() != top.get(0).getScore()) {
                throw new Different(where + "stored as ARGB and to be turned by " + degrees
                        + " degrees, the picture gives another score");
            }
        }
        return difference;
    }

    private static double compare(String where, float[] scores, byte[] recorded)
            throws Different {
        if (recorded.length != 4 * scores.length) {
            throw new Different(where + "there are " + scores.length + " scores, not "
                    + recorded.length / 4);
        }
        float[] expected = new float[scores.length];
        ByteBuffer.wrap(recorded).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(expected);
        double scale = 0;
        double largest = 0;
        int at = 0;
        for (int i = 0; i < scores.length; i++) {
            scale = Math.max(scale, Math.abs(expected[i]));
            double difference = Math.abs((double) scores[i] - expected[i]);
            if (!(difference <= largest)) {
                largest = difference;
                at = i;
            }
        }
        if (!(largest <= TOLERANCE * scale)) {
            throw new Different(where + "score " + at + " is " + scores[at] + ", not "
                    + expected[at] + ": " + String.format(Locale.ROOT, "%.2g", largest / scale)
                    + " of the largest score, and at most " + TOLERANCE + " is fine"
                    + (IS_INT8 ? ". The input is right: this CPU's int8 arithmetic may be another"
                            + " than the recording one's; export a file for it with --target-isa"
                            : ""));
        }
        return scale > 0 ? largest / scale : 0;
    }

    private static byte[] read(File folder, String name) throws IOException {
        return Files.readAllBytes(new File(folder, name).toPath());
    }

    private static final class Different extends Exception {
        private static final long serialVersionUID = 1L;

        Different(String message) {
            super(message);
        }
    }

    /** A binary PPM or PGM with three numbers in its head, as RGB. */
    private static final class Picture {
        final int width;
        final int height;
        final byte[] rgb;

        Picture(byte[] file) {
            int[] numbers = new int[3];
            int at = 3;
            for (int i = 0; i < 3; i++, at++) {
                for (; file[at] >= '0'; at++) {
                    numbers[i] = 10 * numbers[i] + file[at] - '0';
                }
            }
            width = numbers[0];
            height = numbers[1];
            rgb = new byte[width * height * 3];
            int channels = file[1] == '6' ? 3 : 1;
            for (int i = 0; i < rgb.length; i++) {
                rgb[i] = file[at + (channels == 3 ? i : i / 3)];
            }
        }

        /** Returns it as ARGB pixels that must be turned clockwise by `degrees`. */
        int[] stored(int degrees) {
            int storedWidth = degrees % 180 == 0 ? width : height;
            int[] pixels = new int[width * height];
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++) {
                    int from = 3 * (y * width + x);
                    int row = degrees == 0 ? y : degrees == 90 ? width - 1 - x
                            : degrees == 180 ? height - 1 - y : x;
                    int column = degrees == 0 ? x : degrees == 90 ? y
                            : degrees == 180 ? width - 1 - x : height - 1 - y;
                    pixels[row * storedWidth + column] = 0xff000000 | (rgb[from] & 255) << 16
                            | (rgb[from + 1] & 255) << 8 | rgb[from + 2] & 255;
                }
            }
            return pixels;
        }
    }
}
