"""Human keypoints become motions of a robot hand (Eq. B1).

For every frame the palm pose T and the independent joints q minimise

    sum_k rho(p_k(T, q) - target_k) / sigma_k^2      fingertips where the human's are, other keypoints behind them
      + vectors, pinch                               from the palm, and from the thumb, to the fingertips
      + angle(R, R_human)^2 / sigma_R^2              palm orientation
      + ||q - q_rest||^2 / sigma_rest^2              chooses one posture where the keypoints leave freedom
      + ||x - x_near||^2 / sigma_step^2              smoothness
      + depth of finger in finger^2 / sigma_self^2

within joint limits and speeds; `config` has every option. What keypoints ask of a hand (``phi_dev``) is in `frame`, the
objective in `objective`, the descent in `newton`, where to start in `atlas`, whole recordings in `recording`,
one frame after another in `stream`.

Differs from the paper: Eq. B1 has no palm, rest or pinch term, and its smoothness term pulls to the previous
frame's final answer, which makes results depend on where the recording starts (``docs/lab_notes.md``).
"""

from unihm.retargeting.config import PRESETS, RetargetingConfig
from unihm.retargeting.polishing import polish
from unihm.retargeting.sequences import RetargetingReport, retarget, retarget_with_report
from unihm.retargeting.stream import Retargeter

__all__ = [
    "PRESETS",
    "Retargeter",
    "RetargetingConfig",
    "RetargetingReport",
    "polish",
    "retarget",
    "retarget_with_report",
]
