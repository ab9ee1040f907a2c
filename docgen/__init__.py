"""What the site has besides the pages that are written: references, figures, screenshots."""
