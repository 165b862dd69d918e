"""How models are made: data sets, recipes, training, evaluation, the model card."""
