"""Training: a recipe, a network and labelled images become weights that ``export`` takes."""
