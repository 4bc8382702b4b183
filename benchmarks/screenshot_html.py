"""Take pictures of a motion's HTML file at some times, with headless Chromium, to look at them.

    python benchmarks/screenshot_html.py out/demo/motion.html 0.0 1.0 2.0 --out out/shots

For each time a copy of the page is opened whose player is told, as a person would, to stand at that time.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

TIMEOUT = 300  # s; drawn in software, on a busy machine a picture can take minutes
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--hide-scrollbars", "--no-first-run"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--virtual-time-budget=2500"),
)

# The player's time field is a React input: it hears a change only through the native setter and an input event.
SEEK = """<script>
const seek = setInterval(() => {
  const field = document.querySelector('input[inputmode]');
  if (!field) return;
  clearInterval(seek);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, 'TIME');
  field.dispatchEvent(new Event('input', {bubbles: true}));
}, 50);
</script>"""


def screenshot(page: Path, time: float, picture: Path, size: tuple[int, int] = (900, 600)) -> None:
    """One picture of a page that `unihm.viewer.write_html` wrote.

    Args:
        page: The HTML file.
        time: Where the player shall stand, s.
        picture: The PNG to write.
        size: Width and height, pixels.

    Raises:
        ValueError: There is no Chromium, or it wrote no picture.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise ValueError(f"No browser found; install one of {', '.join(BROWSERS)}.")
    text = page.read_text(encoding="utf-8")
    picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "page.html"
        close = text.rindex("</body>")
        copy.write_text(text[:close] + SEEK.replace("TIME", f"{time:.2f}") + text[close:], encoding="utf-8")
        done = subprocess.run(
            [
                browser,
                *FLAGS,
                f"--user-data-dir={folder}/profile",
                f"--window-size={size[0]},{size[1]}",
                f"--screenshot={picture.resolve()}",
                copy.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    if done.returncode or not picture.is_file():
        raise ValueError(f"{browser} took no picture of '{page}': {done.stderr.strip()[-300:]}")


def main() -> None:
    """Read the command line, take the pictures, print their paths."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("page", type=Path, help="HTML file")
    parser.add_argument("times", type=float, nargs="+", help="times of the motion, s")
    parser.add_argument("--out", type=Path, default=Path("out/screenshots"), help="folder for the pictures")
    arguments = parser.parse_args()
    for time in arguments.times:
        picture = arguments.out / f"{arguments.page.stem}_{time:.2f}s.png"
        screenshot(arguments.page, time, picture)
        print(picture)


if __name__ == "__main__":
    main()
