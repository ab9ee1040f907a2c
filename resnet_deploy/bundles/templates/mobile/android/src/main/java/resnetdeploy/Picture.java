// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

/** The pixels of one picture, upright. */
public final class Picture {
    final byte[] rgb;
    final int width;
    final int height;

    private Picture(byte[] rgb, int width, int height) {
        this.rgb = rgb;
        this.width = width;
        this.height = height;
    }

    /**
     * Takes RGB bytes, without a copy.
     *
     * @param rgb width * height * 3 bytes: red, green, blue, row by row from the top left
     */
    public static Picture ofRgb(byte[] rgb, int width, int height) {
        if (rgb == null) {
            throw new IllegalArgumentException("a picture is needed, not null");
        }
        return new Picture(rgb, width, height);
    }

    /**
     * Takes pixels as Bitmap.getPixels gives them; alpha is ignored.
     *
     * @param argb width * height pixels
     * @param width of the picture as it is stored, before it is turned
     * @param height of the picture as it is stored, before it is turned
     * @param rotationDegrees how far to turn it clockwise until it is upright: 0, 90, 180 or 270,
     *     as CameraX and EXIF say
     */
    public static Picture ofArgb(int[] argb, int width, int height, int rotationDegrees) {
        if (argb == null || width < 1 || height < 1 || argb.length < (long) width * height) {
            throw new IllegalArgumentException(
                    "a picture of " + width + " x " + height + " pixels has "
                            + (argb == null ? "none" : argb.length)
                            + ": give width * height pixels, and at least one");
        }
        if (3L * width * height > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "a picture of " + width + " x " + height
                            + " pixels is too large: scale it down");
        }
        if (rotationDegrees < 0 || rotationDegrees > 270 || rotationDegrees % 90 != 0) {
            throw new IllegalArgumentException(
                    "a picture can't be turned by " + rotationDegrees
                            + " degrees: give 0, 90, 180 or 270");
        }
        byte[] rgb = new byte[3 * width * height];
        ResnetClassifier.nativeUpright(argb, width, height, rotationDegrees, rgb);
        boolean lies = rotationDegrees % 180 != 0;
        return new Picture(rgb, lies ? height : width, lies ? width : height);
    }
}
