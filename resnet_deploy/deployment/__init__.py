"""The whole of ``export`` and ``quantize``: what is made, checked, judged and written."""
