"""One cell: a layer of a model, or several bands of features, fitted to the responses of a subject."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
