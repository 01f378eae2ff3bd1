package dev.heddle.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.ops.DeviceTest;
import dev.heddle.ops.Multiply;
import dev.heddle.ops.Scale;
import dev.heddle.ops.Sum;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.List;
import org.junit.jupiter.api.Test;

/** AdamW against its formula, clipping, and the schedule. */
class OptimizerTest extends DeviceTest {
  private Parameter parameter(String name, DType dtype, boolean weightDecay, double... values) {
    Shape shape = Shape.of(values.length);
    Tensor leaf = Tensor.leaf(NDArray.of(device, dtype, shape, values));
    return new Parameter(name, leaf, shape, Parameter.WHOLE, 0, weightDecay);
  }

  /** Sets the gradient of Σ w² / 2, which is w. */
  private static void gradientOfHalfSquares(Parameter parameter) {
    parameter.tensor().clearGradient();
    Tensor w = parameter.tensor();
    Scale.scale(Sum.sum(Multiply.multiply(w, w)), 0.5).backward();
  }

  @Test
  void adamW_followsItsFormula() {
    Parameter decaying = parameter("a", DType.F64, true, 1, -2, 0.5);
    Parameter plain = parameter("b", DType.F64, false, 3);
    AdamW optimizer = new AdamW(List.of(decaying, plain), new AdamW.Settings(0.8, 0.9, 1e-6, 0.1));
    double[] w = {1, -2, 0.5, 3};
    double[] m = new double[4];
    double[] v = new double[4];
    for (int t = 1; t <= 5; t++) {
      gradientOfHalfSquares(decaying);
      gradientOfHalfSquares(plain);
      double learningRate = 0.1 / t;
      optimizer.step(learningRate, 0.25);
      for (int i = 0; i < 4; i++) {
        double g = 0.25 * w[i];
        m[i] = 0.8 * m[i] + 0.2 * g;
        v[i] = 0.9 * v[i] + 0.1 * g * g;
        double mHat = m[i] / (1 - Math.pow(0.8, t));
        double vHat = v[i] / (1 - Math.pow(0.9, t));
        double decay = i < 3 ? 0.1 : 0;
        w[i] -= learningRate * (decay * w[i] + mHat / (Math.sqrt(vHat) + 1e-6));
      }
      assertThat(decaying.tensor().value().toDoubles())
          .containsExactly(new double[] {w[0], w[1], w[2]}, within(1e-14));
      assertThat(plain.tensor().value().item()).isCloseTo(w[3], within(1e-14));
    }
    assertThat(optimizer.steps()).isEqualTo(5);
    assertThat(optimizer.parameters()).containsExactly(decaying, plain);
    assertThat(optimizer.state(plain).firstMoment().item()).isCloseTo(m[3], within(1e-14));
    assertThat(optimizer.state(plain).secondMoment().item()).isCloseTo(v[3], within(1e-14));
    assertThat(optimizer.state(plain).master()).isNull();
  }

  @Test
  void parameterWithoutGradient_staysAsItIs() {
    Parameter none = parameter("a", DType.F64, true, 1, -2);
    Parameter some = parameter("b", DType.F64, true, 3);
    AdamW optimizer = new AdamW(List.of(none, some), AdamW.Settings.withDecay(0.1));
    gradientOfHalfSquares(some);
    optimizer.step(0.1, 1);
    assertThat(none.tensor().value().toDoubles()).containsExactly(1, -2);
    assertThat(none.tensor().gradient()).isNull();
    assertThat(some.tensor().value().item()).isLessThan(3);
  }

  @Test
  void parameterWithZeroGradient_decaysAndKeepsItsMomentum() {
    Parameter parameter = parameter("a", DType.F64, true, 1);
    AdamW optimizer = new AdamW(List.of(parameter), new AdamW.Settings(0.9, 0.99, 1e-8, 0.5));
    parameter.tensor().gradientOrZeros();
    optimizer.step(0.1, 1);
    assertThat(parameter.tensor().value().item()).isCloseTo(1 - 0.1 * 0.5, within(1e-15));
  }

  @Test
  void bf16Parameter_isTheRoundedCopyOfItsMaster() {
    Parameter parameter = parameter("a", DType.BF16, false, 1);
    AdamW optimizer = new AdamW(List.of(parameter), AdamW.Settings.withDecay(0));
    NDArray master = optimizer.state(parameter).master();
    assertThat(master).isNotNull();
    assertThat(master.dtype()).isEqualTo(DType.F32);
    // Each step is far below the spacing of bf16 at 1, 2^-8; together they are not.
    for (int i = 0; i < 40; i++) {
      gradientOfHalfSquares(parameter);
      optimizer.step(2e-4, 1);
    }
    assertThat(master.item()).isCloseTo(1 - 40 * 2e-4, within(1e-4));
    assertThat(parameter.tensor().value().item())
        .isEqualTo(DType.bf16ToFloat(DType.floatToBf16((float) master.item())))
        .isLessThan(1);
  }

  @Test
  void step_isNoticedByGraphsThatSavedTheWeight() {
    Parameter parameter = parameter("a", DType.F64, false, 1, 2);
    AdamW optimizer = new AdamW(List.of(parameter), AdamW.Settings.withDecay(0));
    Tensor w = parameter.tensor();
    Tensor y = Sum.sum(Multiply.multiply(w, w));
    w.gradientOrZeros();
    optimizer.step(0.1, 1);
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("changed in place");
  }

  @Test
  void resumedOptimizer_continuesExactly() {
    double[][] results = new double[2][];
    for (int run = 0; run < 2; run++) {
      Parameter parameter = parameter("a", DType.F32, true, 1, 2);
      AdamW optimizer = new AdamW(List.of(parameter), AdamW.Settings.withDecay(0.1));
      for (int i = 0; i < 6; i++) {
        if (run == 1 && i == 3) {
          AdamW resumed = new AdamW(List.of(parameter), AdamW.Settings.withDecay(0.1));
          AdamW.State from = optimizer.state(parameter);
          AdamW.State to = resumed.state(parameter);
          to.firstMoment().writeDoubles(from.firstMoment().toDoubles());
          to.secondMoment().writeDoubles(from.secondMoment().toDoubles());
          resumed.resumeAt(optimizer.steps());
          optimizer = resumed;
        }
        gradientOfHalfSquares(parameter);
        optimizer.step(0.1, 1);
      }
      results[run] = parameter.tensor().value().toDoubles();
    }
    assertThat(results[1]).isEqualTo(results[0]);
  }

  @Test
  void sameParameterTwice_isRefused() {
    Parameter parameter = parameter("a", DType.F64, false, 1);
    assertThatThrownBy(() -> new AdamW(List.of(parameter, parameter), AdamW.Settings.withDecay(0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("two parameters are called a");
  }

  @Test
  void clipping_scalesLargeNormsOnly() {
    Parameter a = parameter("a", DType.F64, false, 3);
    Parameter b = parameter("b", DType.F32, false, 4, 12);
    Parameter none = parameter("c", DType.F64, false, 100);
    gradientOfHalfSquares(a);
    gradientOfHalfSquares(b);
    double squares = GradientClipping.sumOfSquares(List.of(a, b, none));
    assertThat(squares).isEqualTo(169);
    assertThat(GradientClipping.norm(squares, 0.5)).isEqualTo(6.5);
    assertThat(GradientClipping.factor(6.5, 1.3)).isCloseTo(0.2, within(1e-15));
    assertThat(GradientClipping.factor(6.5, 10)).isEqualTo(1);
    assertThat(GradientClipping.factor(6.5, Double.POSITIVE_INFINITY)).isEqualTo(1);
    assertThatThrownBy(() -> GradientClipping.factor(Double.NaN, 1))
        .isInstanceOf(ArithmeticException.class)
        .hasMessageContaining("the gradient norm is NaN");
    assertThatThrownBy(() -> GradientClipping.factor(1, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("wanted a positive one");
  }

  @Test
  void schedule_risesLinearlyAndFallsAlongACosine() {
    CosineSchedule schedule = new CosineSchedule(1, 4, 12, 0.1);
    assertThat(schedule.at(1)).isEqualTo(0.25);
    assertThat(schedule.at(3)).isEqualTo(0.75);
    assertThat(schedule.at(4)).isEqualTo(1);
    assertThat(schedule.at(8)).isCloseTo(0.55, within(1e-15));
    assertThat(schedule.at(12)).isEqualTo(0.1);
    assertThat(schedule.at(100)).isEqualTo(0.1);
    for (long step = 5; step <= 12; step++) {
      assertThat(schedule.at(step)).isLessThan(schedule.at(step - 1));
    }
    assertThat(new CosineSchedule(2, 0, 10, 0).at(1)).isBetween(1.9, 2.0);
    // A run cut short ends within its warm-up.
    assertThat(new CosineSchedule(1, 20, 10, 0).at(10)).isEqualTo(0.5);
    assertThatThrownBy(() -> schedule.at(0)).hasMessageContaining("steps start at 1");
  }
}
