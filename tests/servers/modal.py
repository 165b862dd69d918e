"""A local control plane for the real modal client: it takes deployments and keeps every request.

Of what is called only `.map` is done, by the plain functions that the server is given, in threads of its own process.

It answers what the client 1.6.4 was seen to ask when an app is deployed, and refuses everything else by name. The protocol is modal's own
affair: modal is pinned, and this is used by tests alone.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib.server import Server
from modal._serialization import deserialize_data_format, serialize
from modal._utils.grpc_testing import patch_mock_servicer
from modal_proto import api_grpc, api_pb2


class ControlPlane(api_grpc.ModalClientBase):
    """The requests, by RPC name, in order."""

    def __init__(self, functions: Mapping[str, Callable] | None = None) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.functions = functions or {}
        self.outputs: dict[str, asyncio.Queue] = {}
        self._works: set[asyncio.Task] = set()

    async def take(self, name: str, stream: Any) -> Any:
        request = await stream.recv_message()
        self.requests[name].append(request)
        return request

    async def EnvironmentGetOrCreate(self, stream):  # noqa: N802 - the protocol's names
        await self.take("EnvironmentGetOrCreate", stream)
        metadata = api_pb2.EnvironmentMetadata(name="main", settings=api_pb2.EnvironmentSettings(image_builder_version="2025.06"))
        await stream.send_message(api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata))

    async def AppGetByDeploymentName(self, stream):  # noqa: N802
        await self.take("AppGetByDeploymentName", stream)
        await stream.send_message(api_pb2.AppGetByDeploymentNameResponse())

    async def AppCreate(self, stream):  # noqa: N802
        await self.take("AppCreate", stream)
        await stream.send_message(api_pb2.AppCreateResponse(app_id="ap-1", app_page_url="http://localhost/app"))

    async def SecretGetOrCreate(self, stream):  # noqa: N802
        await self.take("SecretGetOrCreate", stream)
        await stream.send_message(api_pb2.SecretGetOrCreateResponse(secret_id=f"st-{len(self.requests['SecretGetOrCreate'])}"))

    async def VolumeGetOrCreate(self, stream):  # noqa: N802
        await self.take("VolumeGetOrCreate", stream)
        await stream.send_message(api_pb2.VolumeGetOrCreateResponse(volume_id="vo-1", version=api_pb2.VOLUME_FS_VERSION_V2))

    async def ImageGetOrCreate(self, stream):  # noqa: N802
        await self.take("ImageGetOrCreate", stream)
        done = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)
        number = len(self.requests["ImageGetOrCreate"])
        await stream.send_message(api_pb2.ImageGetOrCreateResponse(image_id=f"im-{number}", result=done))

    async def MountGetOrCreate(self, stream):  # noqa: N802
        await self.take("MountGetOrCreate", stream)
        metadata = api_pb2.MountHandleMetadata(content_checksum_sha256_hex="0" * 64)
        number = len(self.requests["MountGetOrCreate"])
        await stream.send_message(api_pb2.MountGetOrCreateResponse(mount_id=f"mo-{number}", handle_metadata=metadata))

    async def MountBatchedCheckExistence(self, stream):  # noqa: N802
        await self.take("MountBatchedCheckExistence", stream)
        await stream.send_message(api_pb2.MountBatchedCheckExistenceResponse())

    async def MountPutFile(self, stream):  # noqa: N802
        await self.take("MountPutFile", stream)
        await stream.send_message(api_pb2.MountPutFileResponse(exists=True))

    async def FunctionPrecreate(self, stream):  # noqa: N802
        request = await self.take("FunctionPrecreate", stream)
        metadata = api_pb2.FunctionHandleMetadata(function_name=request.function_name, function_type=request.function_type)
        await stream.send_message(api_pb2.FunctionPrecreateResponse(function_id=f"fu-{request.function_name}", handle_metadata=metadata))

    async def FunctionCreate(self, stream):  # noqa: N802
        request = await self.take("FunctionCreate", stream)
        name = request.function.function_name or request.function_data.function_name
        metadata = api_pb2.FunctionHandleMetadata(function_name=name, function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION)
        metadata.max_object_size_bytes = 2 << 20
        answer = api_pb2.FunctionCreateResponse(function_id=f"fu-{name}", handle_metadata=metadata)
        if request.HasField("function_data"):  # with a choice of GPUs
            answer.function_data.CopyFrom(request.function_data)
        else:
            answer.function.CopyFrom(request.function)
            answer.function_data.ranked_functions.add().function.CopyFrom(request.function)  # the client reads only this
        await stream.send_message(answer)

    async def FunctionMap(self, stream):  # noqa: N802
        request = await self.take("FunctionMap", stream)
        call = f"fc-{len(self.requests['FunctionMap'])}-{request.function_id}"
        self.outputs[call] = asyncio.Queue()
        await stream.send_message(api_pb2.FunctionMapResponse(function_call_id=call, max_inputs_outstanding=1000))

    async def FunctionPutInputs(self, stream):  # noqa: N802
        request = await self.take("FunctionPutInputs", stream)
        answer = api_pb2.FunctionPutInputsResponse()
        for item in request.inputs:
            given = answer.inputs.add(idx=item.idx, input_id=f"in-{item.idx}", input_jwt=f"jwt-{item.idx}")
            work = asyncio.create_task(self.work(request.function_call_id, given, item.input))
            self._works.add(work)
            work.add_done_callback(self._works.discard)
        await stream.send_message(answer)

    async def work(self, call: str, given: Any, one: Any) -> None:
        """Do one input of a map; an exception travels back as in Modal."""
        function = self.functions[call.split("-fu-")[1]]
        arguments, named = deserialize_data_format(one.args, one.data_format, None)
        try:
            value = await asyncio.to_thread(function, *arguments, **named)
            result = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS, data=serialize(value))
        except Exception as error:
            status = api_pb2.GenericResult.GENERIC_STATUS_FAILURE
            result = api_pb2.GenericResult(status=status, exception=repr(error), data=serialize(error))
        output = api_pb2.FunctionGetOutputsItem(
            result=result, idx=given.idx, input_id=given.input_id, data_format=api_pb2.DATA_FORMAT_PICKLE
        )
        await self.outputs[call].put(output)

    async def FunctionGetOutputs(self, stream):  # noqa: N802
        request = await self.take("FunctionGetOutputs", stream)
        answer = api_pb2.FunctionGetOutputsResponse(last_entry_id="1-0")
        if not request.clear_on_success:
            answer.outputs.append(await self.outputs[request.function_call_id].get())
        await stream.send_message(answer)

    async def AppPublish(self, stream):  # noqa: N802
        await self.take("AppPublish", stream)
        await stream.send_message(api_pb2.AppPublishResponse(url="http://localhost/app", deployed_at=time.time()))

    async def AppHeartbeat(self, stream):  # noqa: N802
        await self.take("AppHeartbeat", stream)
        await stream.send_message(Empty())

    async def AppClientDisconnect(self, stream):  # noqa: N802
        await self.take("AppClientDisconnect", stream)
        await stream.send_message(Empty())


patch_mock_servicer(ControlPlane)


class ModalServer:
    """The control plane as a context manager: `environment` for a client's process, `requests`; `functions` do what is called."""

    def __init__(self, functions: Mapping[str, Callable] | None = None) -> None:
        self.plane = ControlPlane(functions)

    def __enter__(self) -> "ModalServer":
        self.port = 0
        self._loop, ready = asyncio.new_event_loop(), threading.Event()

        async def serve() -> None:
            self._server = Server([self.plane])
            await self._server.start("127.0.0.1", 0)
            self.port = self._server._server.sockets[0].getsockname()[1]
            ready.set()
            await self._server.wait_closed()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True, name="modal")
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._thread.join(10)

    @property
    def requests(self) -> dict[str, list[Any]]:
        return self.plane.requests

    @property
    def environment(self) -> dict[str, str]:
        return {"MODAL_SERVER_URL": f"http://127.0.0.1:{self.port}", "MODAL_TOKEN_ID": "ak-test", "MODAL_TOKEN_SECRET": "as-test"}
