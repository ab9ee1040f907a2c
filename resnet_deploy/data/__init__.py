"""Images and datasets: decoding, preprocessing, reading, sampling; numpy and Pillow only."""
