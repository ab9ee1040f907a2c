"""The table of picture files in a real browser: Python's pixels, or one line that says why not."""

from __future__ import annotations

import base64
import json

import numpy as np

from tests.support.devtools import Tab
from tests.support.picture_files import NOT_IN_JAVASCRIPT, Found, check, picture_files
from tests.support.static_server import Site

_EVERY = """
import('./app/decode.js').then(async ({{ decode }}) => {{
  const found = {{}};
  for (const name of {names}) {{
    const file = new File([await (await fetch(`files/${{name}}`)).blob()], 'the picture');
    try {{
      const {{ data, width, height }} = await decode(file);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
      found[name] = [height, width, bytes.toBase64()];
    }} catch (error) {{
      if (error.name !== 'ClassifierError') throw error;
      found[name] = error.message;
    }}
  }}
  return found;
}})
"""

_INKS = dict.fromkeys(("cmyk.jpg", "ycck.jpg", "cmyk-no-adobe.jpg"), "is a JPEG in CMYK")


def test_the_browser_reads_what_python_reads(page: Tab, site: Site) -> None:
    files = picture_files()
    site.replaced.update({f"files/{name}": data for name, data in files.items()})
    answers = page.evaluate(_EVERY.format(names=json.dumps(list(files))))
    found: dict[str, Found] = {}
    for name, answer in answers.items():
        if isinstance(answer, str):
            found[name] = answer
            continue
        height, width, encoded = answer
        pixels = np.frombuffer(base64.b64decode(encoded), np.uint8)
        found[name] = pixels.reshape(height, width, 3)
    check(found, NOT_IN_JAVASCRIPT | _INKS)
