package resnetdeploy;

import java.io.File;
import java.nio.charset.StandardCharsets;

/** Prints the names of the classes in a bundle, or else of its outputs: UTF-8 in hexadecimal. */
final class Names {
    private Names() {}

    public static void main(String[] args) throws Exception {
        Options options = new Options().threads(1);
        try (ResnetClassifier classifier = ResnetClassifier.open(new File(args[0]), options)) {
            for (String label : classifier.labels()) {
                print(label);
            }
            if (classifier.labels().isEmpty()) {
                for (Output output : classifier.outputs(Picture.ofRgb(new byte[192], 8, 8))) {
                    print(output.getName());
                }
            }
        }
    }

    private static void print(String name) {
        StringBuilder line = new StringBuilder();
        for (byte value : name.getBytes(StandardCharsets.UTF_8)) {
            line.append(String.format("%02x", value));
        }
        System.out.println(line);
    }
}
