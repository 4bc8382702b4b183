"""Motions to look at: one offline HTML file with a player, a live player in the browser, and still pictures."""

from unihm.viewer.player import serve, write_html
from unihm.viewer.stills import write_frames_png

__all__ = ["serve", "write_frames_png", "write_html"]
