"""How the shipped weights are made: one file a model, run by `python -m nlp.shipping NAME`.

Each takes the folder of public data sets (`--data`) and the file of GloVe vectors (`--vectors`),
so that anyone who has these can make the weights again.
"""
