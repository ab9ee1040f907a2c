package resnetdeploy;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Does what an app should not, prints what it is told, and works the classifier hard. */
final class Misuse {
    private static final int SIDE = 40;
    private static final int THREADS = 10;

    private interface Attempt {
        Object run() throws Exception;
    }

    private static void tell(String name, Attempt attempt) {
        try {
            System.out.println(name + ": " + attempt.run());
        } catch (Exception error) {
            System.out.println(
                    name + ": " + error.getClass().getSimpleName() + ": " + error.getMessage());
        }
    }

    public static void main(String[] args) throws Exception {
        File folder = new File(args[0]);
        int calls = Integer.parseInt(args[1]);
        byte[] model = Files.readAllBytes(new File(folder, "model.ort").toPath());
        byte[] labels = Files.readAllBytes(new File(folder, "labels.txt").toPath());
        byte[] damaged = model.clone();
        damaged[damaged.length / 2] ^= 1;
        byte[] rgb = new byte[SIDE * SIDE * 3];
        for (int i = 0; i < rgb.length; i++) {
            rgb[i] = (byte) (i * 37 + i / 53);
        }

        tell("no folder", () -> ResnetClassifier.open(new File("nowhere"), one()));
        tell("null folder", () -> ResnetClassifier.open(null, one()));
        tell("no such model", () -> ResnetClassifier.open(folder, one().model("other.onnx")));
        tell("no such runtime", () -> ResnetClassifier.open(folder, one().runtime("tflite")));
        tell("threads", () -> ResnetClassifier.open(folder, one().threads(100000)));
        tell("below zero", () -> ResnetClassifier.open(folder, one().threads(-1)));
        tell("damaged", () -> ResnetClassifier.open(damaged, labels, one()));
        tell("null", () -> ResnetClassifier.open(null, labels, one()));
        tell("no labels", () -> ResnetClassifier.open(model, null, one()));
        tell("no options", () -> ResnetClassifier.open(model, labels, null));
        byte[] more = Arrays.copyOf(labels, labels.length + 6);
        System.arraycopy("extra\n".getBytes(StandardCharsets.UTF_8), 0, more, labels.length, 6);
        tell("labels", () -> ResnetClassifier.open(model, more, one()));
        byte[] strange =
                ("\uD83D\uDC31\n" + "x\n".repeat(countLines(labels) - 1))
                        .getBytes(StandardCharsets.UTF_8);
        try (ResnetClassifier named = ResnetClassifier.open(model, strange, one())) {
            tell("emoji", () -> named.labels().get(0).equals("\uD83D\uDC31"));
        }

        ResnetClassifier classifier = ResnetClassifier.open(model, labels, one());
        Picture picture = Picture.ofRgb(rgb, SIDE, SIDE);
        tell("empty", () -> classifier.classify(Picture.ofRgb(rgb, 0, SIDE), 1));
        tell("negative", () -> classifier.classify(Picture.ofRgb(rgb, -1, SIDE), 1));
        tell("truncated", () -> classifier.classify(Picture.ofRgb(new byte[100], SIDE, SIDE), 1));
        tell("null pixels", () -> Picture.ofRgb(null, SIDE, SIDE));
        tell("null picture", () -> classifier.classify((Picture) null, 1));
        tell("k", () -> classifier.classify(picture, 0));
        tell("all", () -> classifier.classify(picture, 1000000).size());
        tell("too few pixels", () -> Picture.ofArgb(new int[10], SIDE, SIDE, 0));
        tell("huge", () -> Picture.ofArgb(new int[10], 1 << 30, 1 << 30, 0));
        tell("askew", () -> Picture.ofArgb(new int[SIDE * SIDE], SIDE, SIDE, 45));
        tell("one of many", () -> classifier.classify(
                Arrays.asList(picture, Picture.ofRgb(new byte[7], SIDE, SIDE)), 1));
        tell("none", () -> classifier.classify(new ArrayList<Picture>(), 1));
        tell("too many", () -> classifier.classify(Collections.nCopies(257, picture), 1));
        tell("labels stay", () -> classifier.labels().set(0, "other"));
        tell("outputs", () -> classifier.outputs(Picture.ofRgb(new byte[7], SIDE, SIDE)));
        tell("notice", () -> "[" + classifier.notice() + "]");

        String alone = classifier.classify(picture, 3).toString();
        Picture other = Picture.ofRgb(Arrays.copyOf(rgb, 3 * 33 * SIDE), 33, SIDE);
        String another = classifier.classify(other, 3).toString();
        List<Picture> many = new ArrayList<>();
        for (int i = 0; i < 256; i++) {
            many.add(i % 3 == 0 ? other : picture);
        }
        tell("together", () -> {
            List<List<Prediction>> found = classifier.classify(many, 3);
            for (int i = 0; i < found.size(); i++) {
                expect(i % 3 == 0 ? another : alone, found.get(i).toString());
            }
            return found.size();
        });
        try (ResnetClassifier without = ResnetClassifier.open(model, labels, one().xnnpack(true))) {
            expect(alone, without.classify(picture, 3).toString());
            System.out.println("xnnpack: " + without.notice());
        }
        Options openvino = one().runtime("openvino").xnnpack(true);
        try (ResnetClassifier second = ResnetClassifier.open(folder, openvino)) {
            System.out.println("openvino: " + second.runtime() + ": " + second.notice());
        }
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        threads(threads, classifier, picture, alone, calls / 10);
        long before = resident();
        threads(threads, classifier, picture, alone, calls);
        System.out.println("grown: " + (resident() - before) / 1024 + " MiB");

        // Closed while it is used: every call works or says that it is closed.
        List<Future<String>> last = new ArrayList<>();
        for (int i = 0; i < 4 * THREADS; i++) {
            last.add(threads.submit(() -> {
                try {
                    return classifier.classify(picture, 3).toString();
                } catch (IllegalStateException closed) {
                    return alone;
                }
            }));
        }
        classifier.close();
        classifier.close();
        for (Future<String> call : last) {
            expect(alone, call.get());
        }
        threads.shutdown();
        tell("closed", () -> classifier.classify(picture, 1));
    }

    private static Options one() {
        return new Options().threads(1);
    }

    private static int countLines(byte[] text) {
        int lines = 0;
        for (byte letter : text) {
            lines += letter == '\n' ? 1 : 0;
        }
        return lines;
    }

    private static void threads(ExecutorService threads, ResnetClassifier classifier,
            Picture picture, String alone, int calls) throws Exception {
        List<Callable<Void>> work = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            work.add(() -> {
                for (int call = 0; call < calls / THREADS; call++) {
                    expect(alone, classifier.classify(picture, 3).toString());
                }
                return null;
            });
        }
        for (Future<Void> done : threads.invokeAll(work)) {
            done.get();
        }
    }

    private static void expect(String expected, String found) {
        if (!expected.equals(found)) {
            throw new AssertionError(found + " instead of " + expected);
        }
    }

    /** The memory of this process in KiB. */
    private static long resident() throws Exception {
        for (String line : Files.readAllLines(new File("/proc/self/status").toPath())) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        throw new AssertionError("no VmRSS");
    }
}
