"""From what a checkpoint is to what a folder will be: the task, the target, and a row for every tensor."""

from prenorm.mapping.plan import EXTRA_ROW_BIAS, ConversionPlan, plan_conversion
from prenorm.mapping.task import Task, choose_task
from prenorm.mapping.understood import Prepared, prepare

__all__ = ["EXTRA_ROW_BIAS", "ConversionPlan", "Prepared", "Task", "choose_task", "plan_conversion", "prepare"]
