package dev.heddle.oracle;

import dev.heddle.ops.Scale;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class OperatorOracleTest {
  static Stream<OperatorCase> cases() {
    return Stream.of(
        new OperatorCase(
            "scale [3,5]",
            List.of(Input.normal(3, 5)),
            in -> Scale.scale(in.get(0), 0.25),
            in -> in.get(0).mul(0.25)));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f64_onReferenceKernels_equalsLibtorch(OperatorCase line) {
    try (CpuDevice device = CpuDevice.open("oracle", 1, CpuBackend.REFERENCE)) {
      new Oracle(device, DType.F64, Tolerance.F64).check(line, Oracle.seed());
    }
  }
}
