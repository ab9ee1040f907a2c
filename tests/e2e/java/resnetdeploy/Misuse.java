package resnetdeploy;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
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

        tell("no folder", () -> ResnetClassifier.open(new File("nowhere"), null, 1));
        tell("no such model", () -> ResnetClassifier.open(folder, "other.onnx", 1));
        tell("damaged", () -> ResnetClassifier.open(damaged, labels, 1));
        tell("null", () -> ResnetClassifier.open(null, labels, 1));
        byte[] more = Arrays.copyOf(labels, labels.length + 6);
        System.arraycopy("extra\n".getBytes(StandardCharsets.UTF_8), 0, more, labels.length, 6);
        tell("labels", () -> ResnetClassifier.open(model, more, 1));
        byte[] strange =
                ("\uD83D\uDC31\n" + "x\n".repeat(countLines(labels) - 1))
                        .getBytes(StandardCharsets.UTF_8);
        try (ResnetClassifier named = ResnetClassifier.open(model, strange, 1)) {
            tell("emoji", () -> named.labels().get(0).equals("\uD83D\uDC31"));
        }

        ResnetClassifier classifier = ResnetClassifier.open(model, labels, 1);
        tell("empty", () -> classifier.classify(rgb, 0, SIDE, 1));
        tell("negative", () -> classifier.classify(rgb, -1, SIDE, 1));
        tell("truncated", () -> classifier.classify(new byte[100], SIDE, SIDE, 1));
        tell("null picture", () -> classifier.classify(null, SIDE, SIDE, 1));
        tell("k", () -> classifier.classify(rgb, SIDE, SIDE, 0));
        tell("all", () -> classifier.classify(rgb, SIDE, SIDE, 1000000).size());
        tell("too few pixels", () -> classifier.classifyArgb(new int[10], SIDE, SIDE, 0, 1));
        tell("huge", () -> classifier.classifyArgb(new int[10], 1 << 30, 1 << 30, 0, 1));
        tell("askew", () -> classifier.classifyArgb(new int[SIDE * SIDE], SIDE, SIDE, 45, 1));

        String alone = classifier.classify(rgb, SIDE, SIDE, 3).toString();
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        threads(threads, classifier, rgb, alone, calls / 10);
        long before = resident();
        threads(threads, classifier, rgb, alone, calls);
        System.out.println("grown: " + (resident() - before) / 1024 + " MiB");

        // Closed while it is used: every call works or says that it is closed.
        List<Future<String>> last = new ArrayList<>();
        for (int i = 0; i < 4 * THREADS; i++) {
            last.add(threads.submit(() -> {
                try {
                    return classifier.classify(rgb, SIDE, SIDE, 3).toString();
                } catch (IllegalStateException closed) {
                    return alone;
                }
            }));
        }
        classifier.close();
        classifier.close();
        for (Future<String> one : last) {
            expect(alone, one.get());
        }
        threads.shutdown();
        tell("closed", () -> classifier.classify(rgb, SIDE, SIDE, 1));
    }

    private static int countLines(byte[] text) {
        int lines = 0;
        for (byte one : text) {
            lines += one == '\n' ? 1 : 0;
        }
        return lines;
    }

    private static void threads(ExecutorService threads, ResnetClassifier classifier, byte[] rgb,
            String alone, int calls) throws Exception {
        List<Callable<Void>> work = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            work.add(() -> {
                for (int call = 0; call < calls / THREADS; call++) {
                    expect(alone, classifier.classify(rgb, SIDE, SIDE, 3).toString());
                }
                return null;
            });
        }
        for (Future<Void> one : threads.invokeAll(work)) {
            one.get();
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
