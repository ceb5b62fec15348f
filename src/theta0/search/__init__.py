"""Searches: a study whose runs are chosen by Optuna; imports it late."""
