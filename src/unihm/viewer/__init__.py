"""Motions and plans to look at: offline HTML files with a player, a live player in the browser, and pictures."""

from unihm.viewer.overlay import write_overlay
from unihm.viewer.plan_page import write_plan_html
from unihm.viewer.player import serve, write_html
from unihm.viewer.stills import write_frames_png

__all__ = ["serve", "write_frames_png", "write_html", "write_overlay", "write_plan_html"]
