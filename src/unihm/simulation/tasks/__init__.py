"""What counts as success: one file a task, each judge a pure function of what a rollout recorded (FACTS 5)."""

from unihm.simulation.tasks.base import REASONS, TASKS, Outcome, Task, Trial, prepare, run, scatter

__all__ = ["REASONS", "TASKS", "Outcome", "Task", "Trial", "prepare", "run", "scatter"]
