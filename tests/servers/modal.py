"""A local control plane for the real modal client: it takes deployments and keeps every request.

Of what is called only `.map` is done, by the plain functions that the server is given, in threads
of its own process. It answers what the client asks when an app is deployed, and refuses everything
else by name. The protocol is modal's own affair: modal is pinned, and only tests use this.
"""

import asyncio
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Self

from google.protobuf.empty_pb2 import Empty
from grpclib.server import Server
from grpclib.server import Stream as GrpcStream
from modal._serialization import deserialize_data_format, serialize
from modal._utils.grpc_testing import patch_mock_servicer
from modal_proto import api_grpc, api_pb2

Functions = Mapping[str, Callable[..., object]]
Stream = GrpcStream[Any, Any]
START_TIMEOUT_S = 10
SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE


class ControlPlane(api_grpc.ModalClientBase):
    """The control plane's answers; `requests` are those that came, in order, by RPC name."""

    def __init__(self, functions: Functions | None = None) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.functions = functions or {}
        self._outputs: dict[str, asyncio.Queue[api_pb2.FunctionGetOutputsItem]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def _take(self, name: str, stream: Stream) -> Any:
        """Return the request of an RPC and keep it."""
        request = await stream.recv_message()
        self.requests[name].append(request)
        return request

    async def EnvironmentGetOrCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("EnvironmentGetOrCreate", stream)
        metadata = api_pb2.EnvironmentMetadata(
            name="main", settings=api_pb2.EnvironmentSettings(image_builder_version="2025.06")
        )
        await stream.send_message(
            api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)
        )

    async def AppGetByDeploymentName(self, stream: Stream) -> None:  # noqa: N802
        await self._take("AppGetByDeploymentName", stream)
        await stream.send_message(api_pb2.AppGetByDeploymentNameResponse())

    async def AppCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("AppCreate", stream)
        await stream.send_message(
            api_pb2.AppCreateResponse(app_id="ap-1", app_page_url="http://localhost/app")
        )

    async def SecretGetOrCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("SecretGetOrCreate", stream)
        await stream.send_message(
            api_pb2.SecretGetOrCreateResponse(
                secret_id=f"st-{len(self.requests['SecretGetOrCreate'])}"
            )
        )

    async def VolumeGetOrCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("VolumeGetOrCreate", stream)
        await stream.send_message(
            api_pb2.VolumeGetOrCreateResponse(
                volume_id="vo-1", version=api_pb2.VOLUME_FS_VERSION_V2
            )
        )

    async def ImageGetOrCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("ImageGetOrCreate", stream)
        done = api_pb2.GenericResult(status=SUCCESS)
        number = len(self.requests["ImageGetOrCreate"])
        await stream.send_message(
            api_pb2.ImageGetOrCreateResponse(image_id=f"im-{number}", result=done)
        )

    async def MountGetOrCreate(self, stream: Stream) -> None:  # noqa: N802
        await self._take("MountGetOrCreate", stream)
        metadata = api_pb2.MountHandleMetadata(content_checksum_sha256_hex="0" * 64)
        number = len(self.requests["MountGetOrCreate"])
        await stream.send_message(
            api_pb2.MountGetOrCreateResponse(mount_id=f"mo-{number}", handle_metadata=metadata)
        )

    async def MountBatchedCheckExistence(self, stream: Stream) -> None:  # noqa: N802
        await self._take("MountBatchedCheckExistence", stream)
        await stream.send_message(api_pb2.MountBatchedCheckExistenceResponse())

    async def MountPutFile(self, stream: Stream) -> None:  # noqa: N802
        await self._take("MountPutFile", stream)
        await stream.send_message(api_pb2.MountPutFileResponse(exists=True))

    async def FunctionPrecreate(self, stream: Stream) -> None:  # noqa: N802
        request = await self._take("FunctionPrecreate", stream)
        metadata = api_pb2.FunctionHandleMetadata(
            function_name=request.function_name, function_type=request.function_type
        )
        await stream.send_message(
            api_pb2.FunctionPrecreateResponse(
                function_id=f"fu-{request.function_name}", handle_metadata=metadata
            )
        )

    async def FunctionCreate(self, stream: Stream) -> None:  # noqa: N802
        request = await self._take("FunctionCreate", stream)
        name = request.function.function_name or request.function_data.function_name
        metadata = api_pb2.FunctionHandleMetadata(
            function_name=name, function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION
        )
        metadata.max_object_size_bytes = 2 << 20
        answer = api_pb2.FunctionCreateResponse(function_id=f"fu-{name}", handle_metadata=metadata)
        if request.HasField("function_data"):  # with a choice of GPUs
            answer.function_data.CopyFrom(request.function_data)
        else:
            answer.function.CopyFrom(request.function)
            # the client reads only this
            ranked = answer.function_data.ranked_functions.add()
            ranked.function.CopyFrom(request.function)
        await stream.send_message(answer)

    async def FunctionMap(self, stream: Stream) -> None:  # noqa: N802
        request = await self._take("FunctionMap", stream)
        call = f"fc-{len(self.requests['FunctionMap'])}-{request.function_id}"
        self._outputs[call] = asyncio.Queue()
        await stream.send_message(
            api_pb2.FunctionMapResponse(function_call_id=call, max_inputs_outstanding=1000)
        )

    async def FunctionPutInputs(self, stream: Stream) -> None:  # noqa: N802
        request = await self._take("FunctionPutInputs", stream)
        answer = api_pb2.FunctionPutInputsResponse()
        for item in request.inputs:
            answer.inputs.add(idx=item.idx, input_id=f"in-{item.idx}", input_jwt=f"jwt-{item.idx}")
            call = asyncio.create_task(self._call(request.function_call_id, item))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        await stream.send_message(answer)

    async def _call(self, call_id: str, item: api_pb2.FunctionPutInputsItem) -> None:
        """Call a function with one input of a map; an exception travels back as in Modal."""
        function = self.functions[call_id.split("-fu-")[1]]
        data_format = item.input.data_format
        arguments, named = deserialize_data_format(item.input.args, data_format, None)
        try:
            value = await asyncio.to_thread(function, *arguments, **named)
            result = api_pb2.GenericResult(status=SUCCESS, data=serialize(value))
        except Exception as error:
            result = api_pb2.GenericResult(
                status=FAILURE, exception=repr(error), data=serialize(error)
            )
        output = api_pb2.FunctionGetOutputsItem(
            result=result,
            idx=item.idx,
            input_id=f"in-{item.idx}",
            data_format=api_pb2.DATA_FORMAT_PICKLE,
        )
        await self._outputs[call_id].put(output)

    async def FunctionGetOutputs(self, stream: Stream) -> None:  # noqa: N802
        request = await self._take("FunctionGetOutputs", stream)
        answer = api_pb2.FunctionGetOutputsResponse(last_entry_id="1-0")
        if not request.clear_on_success:
            answer.outputs.append(await self._outputs[request.function_call_id].get())
        await stream.send_message(answer)

    async def AppPublish(self, stream: Stream) -> None:  # noqa: N802
        await self._take("AppPublish", stream)
        await stream.send_message(
            api_pb2.AppPublishResponse(url="http://localhost/app", deployed_at=time.time())
        )

    async def AppHeartbeat(self, stream: Stream) -> None:  # noqa: N802
        await self._take("AppHeartbeat", stream)
        await stream.send_message(Empty())

    async def AppClientDisconnect(self, stream: Stream) -> None:  # noqa: N802
        await self._take("AppClientDisconnect", stream)
        await stream.send_message(Empty())


# every RPC without a method above is refused by name
complete: Callable[[Any], Callable[[Functions | None], ControlPlane]] = patch_mock_servicer
new_control_plane = complete(ControlPlane)


class ModalServer:
    """The control plane as a context manager: `with ModalServer() as server:`.

    Args:
        functions: Plain functions by name, which do what is called.
    """

    def __init__(self, functions: Functions | None = None) -> None:
        self.port = 0
        self._plane = new_control_plane(functions)

    def __enter__(self) -> Self:
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="modal")
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise TimeoutError("the control plane did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._thread.join(START_TIMEOUT_S)

    def _run(self) -> None:
        """Serve until the server is closed."""
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        """Listen on a free port of loopback."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = Server([self._plane])
        await self._server.start(sock=listener)
        self._ready.set()
        await self._server.wait_closed()

    @property
    def requests(self) -> dict[str, list[Any]]:
        """Return the requests by RPC name, in order."""
        return self._plane.requests

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings of a client's process."""
        return {
            "MODAL_SERVER_URL": f"http://127.0.0.1:{self.port}",
            "MODAL_TOKEN_ID": "ak-test",
            "MODAL_TOKEN_SECRET": "as-test",
        }
