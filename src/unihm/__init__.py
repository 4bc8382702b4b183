"""Words and an RGB-D image become a manipulation sequence for any dexterous robot hand.

Importing this package does nothing: no parsing, printing, device choice or download.
"""

__version__ = "0.2.0"
