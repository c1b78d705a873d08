"""Data: digits, Moving MNIST, clips from files, dataset directories.

What is named here is imported when it is first used: see __init__.pyi.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
