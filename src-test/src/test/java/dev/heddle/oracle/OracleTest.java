package dev.heddle.oracle;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.ops.Scale;
import dev.heddle.ops.Sum;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The oracle itself: it must see what is wrong. */
class OracleTest {
  private static void check(OperatorCase line) {
    try (CpuDevice device = CpuDevice.open("oracle", 1, CpuBackend.REFERENCE)) {
      new Oracle(device, DType.F64, Tolerance.F64).check(line, 5);
    }
  }

  @Test
  void check_valueOffByABillionth_failsAndNamesTheSeed() {
    OperatorCase line =
        new OperatorCase(
            "wrong value",
            List.of(Input.normal(3)),
            in -> Scale.scale(in.get(0), 2),
            in -> LibTorch.times(in.get(0), 2 + 2e-9));
    assertThatThrownBy(() -> check(line))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("wrong value")
        .hasMessageContaining("-Dheddle.seed=5")
        .hasMessageContaining("value");
  }

  @Test
  void check_rightValueWithWrongGradient_fails() {
    OperatorCase line =
        new OperatorCase(
            "wrong gradient",
            List.of(Input.normal(3)),
            in -> Scale.scale(in.get(0), 2),
            in -> in.get(0).add(in.get(0).stopGradient()));
    assertThatThrownBy(() -> check(line))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("gradient of input 0");
  }

  @Test
  void check_otherShape_fails() {
    OperatorCase line =
        new OperatorCase(
            "wrong shape",
            List.of(Input.normal(3, 2)),
            in -> Sum.sum(in.get(0), 0),
            in -> in.get(0).sum(new int[] {0}, true));
    assertThatThrownBy(() -> check(line))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("shape of the value");
  }

  @Test
  void tolerance_notANumber_fails() {
    assertThatThrownBy(
            () -> Tolerance.F32.check("a", new double[] {1, Double.NaN}, new double[] {1, 1}))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("[1]");
  }
}
