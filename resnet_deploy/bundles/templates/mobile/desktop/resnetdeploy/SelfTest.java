// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Runs the golden cases through ResnetClassifier and its native library, with each model file on
 * each runtime that it is for.
 *
 * <p>Its argument is the folder of the bundle. It prints PASS, or the first case that differs and
 * where, and then exits with 1.
 */
final class SelfTest {
    private static final class Case {
        final String name;
        final String picture;
        final String input;

        Case(String name, String picture, String input) {
            this.name = name;
            this.picture = picture;
            this.input = input;
        }
    }

    /** What one model file gave on one runtime, for each case. */
    private static final class Recording {
        final String model;
        final String runtime;
        final double tolerance;
        final Answer[] answers;

        Recording(String model, String runtime, double tolerance, Answer... answers) {
            this.model = model;
            this.runtime = runtime;
            this.tolerance = tolerance;
            this.answers = answers;
        }
    }

    private static final class Answer {
        final String scores;
        final int top1;
        final boolean top1IsDecided;

        Answer(String scores, int top1, boolean top1IsDecided) {
            this.scores = scores;
            this.top1 = top1;
            this.top1IsDecided = top1IsDecided;
        }
    }

    private static final boolean IS_INT8 = {{ "true" if network.artifact.precision == "int8" else "false" }};
    private static final boolean HAS_CLASSES = {{ "true" if contract.has_classes else "false" }};
    private static final boolean BATCH_IS_FREE = {{ "false" if contract.batch else "true" }};

    /** Of each output every so manieth value is recorded. */
    private static final int[] EVERY = { {{- outputs | map(attribute="every") | numbers -}} };

    private static final Case[] CASES = {
{% for case in cases %}
        new Case({{ case.name | java }}, {{ case.image_file | java }}, {{ case.tensor_file | java }}),
{% endfor %}
    };

    private static final Recording[] RECORDINGS = {
{% for model in models %}
{% for runtime in model.runtimes %}
{% set row = loop.index0 %}
        new Recording({{ model.file | java }}, {{ words[runtime.kind] | java }}, {{ model.tolerances[row] | number }}
{%- for case in cases %},
                new Answer({{ model.scores_file(case, runtime) | java }}, {{ (model.answers[row][loop.index0].top1 or 0) | number }}, {{ "true" if model.top1_is_decided(row, loop.index0) else "false" }})
{%- endfor %}),
{% endfor %}
{% endfor %}
    };

    private SelfTest() {}

    /** Runs all cases in the folder args[0]. */
    public static void main(String[] args) {
        if (args.length != 1 || args[0].startsWith("-")) {
            System.out.println("usage: SelfTest FOLDER_OF_THE_BUNDLE");
            System.exit(args.length == 1 && args[0].equals("--help") ? 0 : 2);
        }
        File folder = new File(args[0]);
        boolean passed = false;
        for (Recording recording : RECORDINGS) {
            try (ResnetClassifier classifier = open(folder, recording)) {
                say(run(classifier, folder, recording));
                passed = true;
            } catch (Absent absent) {
                say("not tested: " + recording.model + " with " + recording.runtime + ": "
                        + absent.getMessage());
            } catch (Different | IOException | RuntimeException error) {
                say("FAIL: " + recording.model + " with " + recording.runtime + ": "
                        + error.getMessage());
                System.exit(1);
            }
        }
        if (!passed) {
            System.out.println("FAIL: no runtime of this bundle is here");
            System.exit(1);
        }
    }

    /** Prints a line with a question mark in place of what a terminal would obey in a name. */
    private static void say(String line) {
        System.out.println(line.replaceAll(
                "[\\p{Cc}\\p{Zl}\\p{Zp}\\x{61c}\\x{200e}\\x{200f}\\x{202a}-\\x{202e}"
                        + "\\x{2066}-\\x{2069}]",
                "?"));
    }

    private static ResnetClassifier open(File folder, Recording recording)
            throws IOException, Absent {
        Options options =
                new Options().threads(1).model(recording.model).runtime(recording.runtime);
        try {
            return ResnetClassifier.open(folder, options);
        } catch (IllegalStateException missing) {
            throw new Absent(missing.getMessage());
        }
    }

    private static String run(ResnetClassifier classifier, File folder, Recording recording)
            throws IOException, Different {
        double largest = 0;
        int decided = 0;
        int classes = classifier.labels().size();
        List<Picture> pictures = new ArrayList<>();
        List<List<Prediction>> alone = new ArrayList<>();
        for (int i = 0; i < CASES.length; i++) {
            Answer answer = recording.answers[i];
            Netpbm file = new Netpbm(read(folder, CASES[i].picture));
            Picture picture = Picture.ofRgb(file.rgb, file.width, file.height);
            String where = CASES[i].name + ": ";
            compareInputs(where, classifier.prepare(picture), read(folder, CASES[i].input));
            ByteBuffer recorded =
                    ByteBuffer.wrap(read(folder, answer.scores)).order(ByteOrder.LITTLE_ENDIAN);
            List<Output> outputs = classifier.outputs(picture);
            for (int which = 0; which < outputs.size(); which++) {
                largest = Math.max(
                        largest,
                        compare(where, outputs.get(which), EVERY[which], recorded.asFloatBuffer(),
                                recording.tolerance));
                int values = outputs.get(which).getValues().length;
                recorded.position(
                        recorded.position() + 4 * ((values + EVERY[which] - 1) / EVERY[which]));
            }
            if (recorded.hasRemaining()) {
                throw new Different(where + "there are fewer values than are recorded");
            }
            checkTurned(where, classifier, file, outputs);
            if (!HAS_CLASSES) {
                continue;
            }
            List<Prediction> top = classifier.classify(picture, classes);
            if (answer.top1IsDecided && top.get(0).getIndex() != answer.top1) {
                throw new Different(where + "the best class is " + top.get(0).getIndex() + ", not "
                        + answer.top1);
            }
            decided += answer.top1IsDecided ? 1 : 0;
            pictures.add(picture);
            alone.add(top);
        }
        if (HAS_CLASSES && BATCH_IS_FREE) {
            checkTogether(classifier.classify(pictures, classes), alone, recording.tolerance);
        }
        return "PASS " + recording.model + ": " + CASES.length + " cases, inputs equal, "
                + (HAS_CLASSES ? "scores" : "values") + " differ by "
                + String.format(Locale.ROOT, "%.2g", largest) + " of the largest (at most "
                + String.format(Locale.ROOT, "%.2g", recording.tolerance) + ")"
                + (HAS_CLASSES ? ", " + decided + " decided classes equal" : "")
                + (HAS_CLASSES && BATCH_IS_FREE ? ", the same as one batch" : "") + "; "
                + classifier.runtime();
    }

    private static void compareInputs(String where, byte[] input, byte[] expected)
            throws Different {
        if (input.length != expected.length) {
            throw new Different(where + "the input has " + input.length + " bytes, not "
                    + expected.length);
        }
        for (int i = 0; i < input.length; i++) {
            if (input[i] != expected[i]) {
                throw new Different(where + "byte " + i + " of the input is " + (input[i] & 255)
                        + ", not " + (expected[i] & 255));
            }
        }
    }

    private static void checkTurned(
            String where, ResnetClassifier classifier, Netpbm file, List<Output> upright)
            throws IOException, Different {
        for (int degrees = 0; degrees < 360; degrees += 90) {
            boolean lies = degrees % 180 != 0;
            Picture stored = Picture.ofArgb(
                    file.stored(degrees), lies ? file.height : file.width,
                    lies ? file.width : file.height, degrees);
            float[] turned = classifier.outputs(stored).get(0).getValues();
            if (!Arrays.equals(turned, upright.get(0).getValues())) {
                throw new Different(where + "stored as ARGB and to be turned by " + degrees
                        + " degrees, the picture gives other values");
            }
        }
    }

    /** Compares all scores of all pictures; a kernel may add in another order where it has more. */
    private static void checkTogether(
            List<List<Prediction>> together, List<List<Prediction>> alone, double tolerance)
            throws Different {
        for (int i = 0; i < alone.size(); i++) {
            Map<Integer, Float> expected = new HashMap<>();
            double scale = 0;
            for (Prediction prediction : alone.get(i)) {
                expected.put(prediction.getIndex(), prediction.getScore());
                scale = Math.max(scale, Math.abs(prediction.getScore()));
            }
            for (Prediction prediction : together.get(i)) {
                Float score = expected.remove(prediction.getIndex());
                if (score == null
                        || !(Math.abs(score - prediction.getScore()) <= 2 * tolerance * scale)) {
                    throw new Different(CASES[i].name + ": in a batch class "
                            + prediction.getIndex() + " has the score " + prediction.getScore()
                            + ", alone " + score);
                }
            }
            if (!expected.isEmpty()) {
                throw new Different(CASES[i].name + ": a batch names fewer classes");
            }
        }
    }

    /** Returns the largest difference of an output, as a share of its largest recorded value. */
    private static double compare(
            String where, Output output, int every, FloatBuffer recorded, double tolerance)
            throws Different {
        float[] values = output.getValues();
        if (recorded.remaining() < (values.length + every - 1) / every) {
            throw new Different(where + output.getName() + " has more values than are recorded");
        }
        double scale = 0;
        double largest = 0;
        int at = 0;
        for (int i = 0; i < values.length; i += every) {
            double expected = recorded.get(i / every);
            scale = Math.max(scale, Math.abs(expected));
            double difference = Math.abs(values[i] - expected);
            if (!(difference <= largest)) {
                largest = difference;
                at = i;
            }
        }
        if (!(largest <= tolerance * scale)) {
            String value = HAS_CLASSES ? "score " : output.getName() + " value ";
            throw new Different(where + value + at + " is " + values[at] + ", not "
                    + recorded.get(at / every) + ": "
                    + String.format(Locale.ROOT, "%.2g", largest / scale)
                    + " of the largest, and at most " + tolerance + " is fine"
                    + (IS_INT8 ? ". The input is right: this CPU's int8 arithmetic may be another"
                            + " than the recording one's; export a file without --allow-overflow"
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

    /** The runtime is not on this machine. */
    private static final class Absent extends Exception {
        private static final long serialVersionUID = 1L;

        Absent(String message) {
            super(message);
        }
    }

    /** A binary PPM or PGM with three numbers in its head, as RGB. */
    private static final class Netpbm {
        final int width;
        final int height;
        final byte[] rgb;

        Netpbm(byte[] file) {
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
