package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.CommunicationTimeoutException;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.runtime.NDArray;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A rank that fails or falls silent in the middle of training stops all, and is named. */
class TrainingFaultTest {
  private static final String MESSAGE = "the picture of sample 3 is unreadable";

  /** A program that does something in one call of forward, or of the backward that follows. */
  private static final class FaultyProgram implements ComponentProgram {
    private final ComponentProgram program;
    private final int faultyCall;
    private final boolean inBackward;
    private final Runnable fault;
    private int calls;

    FaultyProgram(ComponentProgram program, int faultyCall, boolean inBackward, Runnable fault) {
      this.program = program;
      this.faultyCall = faultyCall;
      this.inBackward = inBackward;
      this.fault = fault;
    }

    @Override
    public @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
      boolean faulty = calls++ == faultyCall;
      if (faulty && !inBackward) {
        fault.run();
      }
      Tensor output = program.forward(microBatch, incoming);
      return faulty && output != null
          ? Tensor.from(output.value(), new Fault(output, fault))
          : output;
    }

    @Override
    public List<Parameter> parameters() {
      return program.parameters();
    }

    @Override
    public long validTokens() {
      return program.validTokens();
    }
  }

  private record Fault(Tensor x, Runnable fault) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      fault.run();
      return Gradients.of(dy);
    }
  }

  private static Experiment faulty(
      String layout, String component, int rank, boolean inBackward, Runnable fault) {
    Experiment experiment = Experiment.under(layout);
    experiment.wrapper =
        (at, name, program) ->
            at == rank && name.equals(component)
                ? new FaultyProgram(program, 2, inBackward, fault)
                : program;
    return experiment;
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | tp2@0-1, vision, 1, false",
    "dp2@0-1 | tp2@0-1, language, 0, false",
    "dp2@0-1 | tp2@0-1, language, 1, true",
    "tp2@0-1 | dp2@2-3, vision, 1, true",
    "dp3@0-2 | tp2@3-4, language, 4, false",
    "dp2@0-1 | pp2@2-3, vision, 1, false",
    "dp2@0-1 | pp2@2-3, vision, 0, true",
    "tp1@0 | cp3@1-3, language, 2, true",
    "dp2@0-1 | dp2@0-1, vision, 1, true"
  })
  void rankThatThrows_stopsAllRanksAtOnce_andIsNamedWithItsCause(
      String layout, String component, int rank, boolean inBackward) {
    Experiment experiment =
        faulty(
            layout,
            component,
            rank,
            inBackward,
            () -> {
              throw new IllegalStateException(MESSAGE);
            });
    experiment.timeout = Duration.ofMinutes(5);

    long start = System.nanoTime();
    RankFailedException failure = catchThrowableOfType(RankFailedException.class, experiment::run);

    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(20));
    assertThat(failure.rank()).isEqualTo(rank);
    assertThat(failure).hasMessageContaining("rank " + rank).hasMessageContaining(MESSAGE);
    assertThat(failure.getCause()).isInstanceOf(IllegalStateException.class).hasMessage(MESSAGE);
    // The others only stopped, and every rank gave its memory back: a leak would be thrown too.
    assertThat(failure.getSuppressed()).isEmpty();
    assertThat(failure.getCause().getSuppressed()).isEmpty();
  }

  @Test
  void rankThatFallsSilent_isNamedAfterTheTimeout() {
    CountDownLatch never = new CountDownLatch(1);
    Experiment experiment =
        faulty(
            "dp2@0-1 | tp2@0-1",
            "vision",
            1,
            false,
            () -> {
              try {
                never.await();
              } catch (InterruptedException e) {
                throw new IllegalStateException("interrupted", e);
              }
            });
    experiment.timeout = Duration.ofMillis(1500);

    RankFailedException failure = catchThrowableOfType(RankFailedException.class, experiment::run);

    assertThat(failure.getCause())
        .isInstanceOf(CommunicationTimeoutException.class)
        .hasMessageContaining("vision -> language")
        .hasMessageContaining("rank 1 has not posted the send")
        .hasMessageContaining("FaultyProgram.forward");
  }
}
