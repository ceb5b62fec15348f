"""What runs the jobs of a sweep elsewhere than in this process; hydra_plugins holds the fronts."""
