"""What a law may be over, besides columns that the user gives."""

DATA = {"hours": "train_hours", "stories": "n_train", "trs": "train_trs"}  # amount of training data
SIZES = ("parameters", "parameters_non_embedding", "width")  # of models
