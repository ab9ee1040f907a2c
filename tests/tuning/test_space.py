from dataclasses import replace

from resnet_deploy.runners.openvino_runner import IN_BFLOAT16
from resnet_deploy.spec import (
    FileOptions,
    FirstConv,
    InputFormat,
    Objective,
    ResidualStream,
    Runtime,
    TargetIsa,
)
from resnet_deploy.tuning.space import (
    files_elsewhere,
    first_file,
    first_setting,
    main_files,
    more_files,
    settings,
)


def all_files(
    own: InputFormat, target: TargetIsa, *, keep_input: bool = False
) -> list[FileOptions]:
    return [
        first_file(own, target),
        *main_files(own, target, keep_input=keep_input),
        *more_files(own, target, keep_input=keep_input),
    ]


def test_no_recipe_comes_twice() -> None:
    for target in (TargetIsa.X86_AMX, TargetIsa.PORTABLE):
        for own in InputFormat:
            found = all_files(own, target)
            assert len(found) == len(set(found))


def test_kernels_for_another_cpu_are_not_tried() -> None:
    found = all_files(InputFormat.FLOAT_NCHW, TargetIsa.PORTABLE)
    assert {options.target_isa for options in found} == {TargetIsa.PORTABLE}


def test_the_input_stays_when_it_must_or_can_only_stay() -> None:
    kept = all_files(InputFormat.FLOAT_NCHW, TargetIsa.PORTABLE, keep_input=True)
    assert {options.input for options in kept} == {InputFormat.FLOAT_NCHW}
    bytes_ = all_files(InputFormat.UINT8_NCHW, TargetIsa.PORTABLE)
    assert {options.input for options in bytes_} == {InputFormat.UINT8_NCHW}


def test_another_runtime_gets_no_amx_and_a_plain_first_convolution_too() -> None:
    best = FileOptions(input=InputFormat.UINT8_NHWC, target_isa=TargetIsa.X86_AMX)
    floats, bytes_ = InputFormat.FLOAT_NCHW, InputFormat.UINT8_NHWC
    found = list(files_elsewhere(best, floats, strided_stem=True))
    assert {options.target_isa for options in found} == {TargetIsa.PORTABLE}
    assert [(options.input, options.first_conv) for options in found] == [
        (floats, FirstConv.PLAIN),
        (bytes_, FirstConv.PLAIN),
        (floats, FirstConv.AUTO),
        (bytes_, FirstConv.AUTO),
    ]
    assert found[1].name.endswith("uint8-nhwc-plain")
    assert list(files_elsewhere(found[1], floats, strided_stem=True)) == found


def test_a_float_residual_stream_has_another_form_on_openvino() -> None:
    best = replace(
        first_file(InputFormat.FLOAT_NCHW, TargetIsa.PORTABLE),
        residual_stream=ResidualStream.FLOAT32,
    )
    found = list(files_elsewhere(best, InputFormat.FLOAT_NCHW, strided_stem=False))
    assert [options.runtime for options in found] == [Runtime.OPENVINO]
    assert (best.name, found[0].name) == (
        "int8-mse-fast-portable-float-nchw-stream",
        "int8-mse-fast-portable-float-nchw-stream-openvino",
    )


def test_a_plain_first_convolution_is_tried_only_where_it_matters() -> None:
    for options in (
        FileOptions(input=InputFormat.FLOAT_NCHW),
        FileOptions(input=InputFormat.UINT8_NHWC),
        FileOptions(input=InputFormat.FLOAT_NCHW, int8=False),
    ):
        strided = not options.int8
        assert list(files_elsewhere(options, options.input, strided_stem=strided)) == [options]


def test_latency_takes_one_image_and_fewer_threads_too() -> None:
    found = list(settings(Objective.LATENCY, 6, ("openvino",), fixed_batch=False))
    assert {setting.batch_size for setting in found} == {1}
    assert [setting.threads for setting in found if setting.runner == "openvino"] == [6, 4, 2, 1]
    assert first_setting(Objective.LATENCY, 6) not in found


def test_throughput_shares_the_cores_among_processes() -> None:
    found = list(settings(Objective.THROUGHPUT, 2, (), fixed_batch=False))
    assert all(setting.threads * setting.instances == 2 for setting in found)
    assert {setting.batch_size for setting in found} == {1, 4, 8}
    fixed = settings(Objective.THROUGHPUT, 2, (), fixed_batch=True)
    assert {setting.batch_size for setting in fixed} == {1}


def test_bfloat16_is_tried_on_openvino_where_the_cpu_has_it() -> None:
    def tried(runners: tuple[str, ...], *, bfloat16: bool) -> list[tuple[int, str]]:
        found = settings(Objective.LATENCY, 2, runners, fixed_batch=False, bfloat16=bfloat16)
        return [(one.threads, one.runner) for one in found if IN_BFLOAT16 in one.options]

    assert tried(("openvino",), bfloat16=True) == [(2, "openvino"), (1, "openvino")]
    assert tried(("openvino",), bfloat16=False) == tried((), bfloat16=True) == []


def test_a_float16_file_is_made_of_floats_where_the_cpu_computes_in_it() -> None:
    def names(own: InputFormat, *, half: bool) -> list[str]:
        files = main_files(own, TargetIsa.PORTABLE, keep_input=False, half=half)
        return [options.name for options in files if options.half]

    assert names(InputFormat.FLOAT_NCHW, half=True) == ["fp16-float-nchw"]
    assert names(InputFormat.FLOAT_NCHW, half=False) == []
    assert names(InputFormat.UINT8_NCHW, half=True) == []
