"""Where human keypoints come from: files, videos, a webcam. Gaps are bridged and counted, bad input is refused."""
