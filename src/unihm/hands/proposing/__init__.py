"""From a bare URDF to a ``hand.yaml``: palm, fingers, fingertips and keypoints told from the kinematic tree.

`skeleton` finds the palm and the chains that leave it, `tips` the pads at their ends, `anatomy` which chain is the
thumb and where the palm looks, `correspondence` the counterparts of human keypoints and a rest posture, `writing`
the folder. `propose.propose_hand` does all of it. What the tree leaves open is decided and said, one line per doubt.
"""
