from molexp import errors as errors
from molexp.model.asset import ArtifactAsset as ArtifactAsset
from molexp.model.asset import Asset as Asset
from molexp.model.asset import CheckpointAsset as CheckpointAsset
from molexp.model.asset import DataAsset as DataAsset
from molexp.model.asset import ErrorTraceAsset as ErrorTraceAsset
from molexp.model.asset import ExecutionStateAsset as ExecutionStateAsset
from molexp.model.asset import LogAsset as LogAsset
from molexp.model.asset import OutputAsset as OutputAsset
from molexp.model.asset import parse_asset as parse_asset
from molexp.model.parameters import ParameterSet as ParameterSet
from molexp.model.profile import Profile as Profile
from molexp.model.state import ExecutionState as ExecutionState
from molexp.recording.context import RunContext as RunContext
from molexp.workspace.experiment import Experiment as Experiment
from molexp.workspace.library import DataAssetLibrary as DataAssetLibrary
from molexp.workspace.project import Project as Project
from molexp.workspace.run import Run as Run
from molexp.workspace.workspace import Workspace as Workspace

__version__: str
__all__: list[str]
