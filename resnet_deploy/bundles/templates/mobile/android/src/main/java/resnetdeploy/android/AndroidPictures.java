// SPDX-License-Identifier: Apache-2.0
package resnetdeploy.android;

import android.content.res.AssetManager;
import android.graphics.Bitmap;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

import resnetdeploy.Options;
import resnetdeploy.Picture;
import resnetdeploy.ResnetClassifier;

/** What only Android has: assets and bitmaps. */
public final class AndroidPictures {
    private AndroidPictures() {}

    /**
     * Opens the classifier of an app's assets.
     *
     * @param model the name of the asset: {{ model_file | word }} or {{ ort_file | word }}
     * @throws IOException an asset is missing, damaged, or of another bundle
     */
    public static ResnetClassifier open(AssetManager assets, String model, Options options)
            throws IOException {
        byte[] labels = {{ 'read(assets, "labels.txt")' if labels_file else "null" }};
        return ResnetClassifier.open(read(assets, model), labels, options);
    }

    /**
     * Takes the pixels of a bitmap.
     *
     * @param bitmap as it was decoded, of the picture's own size: what scales it while decoding
     *     gives other pixels
     * @param rotationDegrees how far to turn it clockwise until it is upright: 0, 90, 180 or 270.
     *     BitmapFactory leaves a photo as it is stored, and its EXIF orientation tells
     */
    public static Picture of(Bitmap bitmap, int rotationDegrees) {
        Bitmap readable = bitmap;
        if (bitmap.getConfig() != Bitmap.Config.ARGB_8888) {
            // Such as one in the memory of the graphics card.
            readable = bitmap.copy(Bitmap.Config.ARGB_8888, false);
            if (readable == null) {
                throw new IllegalArgumentException("the bitmap can't be copied to be read");
            }
        }
        int width = readable.getWidth();
        int height = readable.getHeight();
        int[] pixels = new int[width * height];
        readable.getPixels(pixels, 0, width, 0, 0, width, height);
        if (readable != bitmap) {
            readable.recycle();
        }
        return Picture.ofArgb(pixels, width, height, rotationDegrees);
    }

    private static byte[] read(AssetManager assets, String name) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        try (InputStream asset = assets.open(name)) {
            for (int count = asset.read(part); count >= 0; count = asset.read(part)) {
                all.write(part, 0, count);
            }
        }
        return all.toByteArray();
    }
}
