package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.cuda.CudaContext;
import dev.heddle.runtime.cuda.CudaEvent;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.cuda.CudaStream;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What lazy streams are for: order that is not asked for is not there. */
class LazyStreamTest {
  private static final int ONE = Float.floatToRawIntBits(1);
  private static final int TWO = Float.floatToRawIntBits(2);

  private SimulatedGpus gpus;
  private CudaContext context;
  private CudaStream producer;
  private CudaStream consumer;

  @BeforeEach
  void open() {
    install(SimulatedOptions.lazily());
  }

  private void install(SimulatedOptions options) {
    gpus = SimulatedGpus.install(1, options);
    context = CudaContext.primary(0);
    producer = CudaStream.open(context);
    consumer = CudaStream.open(context);
  }

  @AfterEach
  void close() {
    try (SimulatedGpus ends = gpus;
        CudaContext endsFirst = context) {
      // A lost context takes its streams with it.
      if (gpus.complaints().stream().noneMatch(text -> text.startsWith("fault"))) {
        producer.close();
        consumer.close();
      }
    }
  }

  @Test
  void missingEvent_givesWrongData() {
    long x = Probe.allocate(context, 8);
    producer.fill32(x, ONE, 1);
    consumer.copy(x + 4, x, 4);
    consumer.synchronize();
    assertThat(Probe.floats(context, x + 4, 1)).containsExactly(Float.NaN);
    Probe.free(context, x);
  }

  @Test
  void missingEvent_isNotSeenByEagerStreams() {
    close();
    install(SimulatedOptions.eagerly());
    long x = Probe.allocate(context, 8);
    producer.fill32(x, ONE, 1);
    consumer.copy(x + 4, x, 4);
    consumer.synchronize();
    assertThat(Probe.floats(context, x + 4, 1)).containsExactly(1);
    Probe.free(context, x);
  }

  @Test
  void event_ordersTwoStreams() {
    long x = Probe.allocate(context, 8);
    try (CudaEvent event = CudaEvent.open(context)) {
      producer.fill32(x, ONE, 1);
      producer.record(event);
      producer.fill32(x, TWO, 1);
      consumer.waitFor(event);
      consumer.copy(x + 4, x, 4);
      consumer.synchronize();
      assertThat(Probe.floats(context, x, 2)).containsExactly(1, 1);
      producer.synchronize();
      assertThat(Probe.floats(context, x, 2)).containsExactly(2, 1);
    }
    Probe.free(context, x);
  }

  @Test
  void waitingUsesTheMarkAsItWasThen() {
    long x = Probe.allocate(context, 8);
    try (CudaEvent event = CudaEvent.open(context)) {
      producer.fill32(x, ONE, 1);
      producer.record(event);
      consumer.waitFor(event);
      producer.fill32(x, TWO, 1);
      producer.record(event);
      consumer.copy(x + 4, x, 4);
      consumer.synchronize();
      assertThat(Probe.floats(context, x, 2)).containsExactly(1, 1);
      event.synchronize();
      assertThat(Probe.floats(context, x, 2)).containsExactly(2, 1);
    }
    Probe.free(context, x);
  }

  @Test
  void overwritingWhatAnotherStreamStillReads_givesWrongData() {
    long x = Probe.allocate(context, 8);
    producer.fill32(x, ONE, 1);
    producer.synchronize();
    consumer.copy(x + 4, x, 4);
    producer.fill32(x, TWO, 1);
    producer.synchronize();
    consumer.synchronize();
    assertThat(Probe.floats(context, x + 4, 1)).containsExactly(2);
    Probe.free(context, x);
  }

  @Test
  void blockingCopy_doesNotWaitForNonBlockingStreams() {
    long x = Probe.allocate(context, 4);
    producer.fill32(x, ONE, 1);
    assertThat(Probe.floats(context, x, 1)).containsExactly(Float.NaN);
    context.synchronize();
    assertThat(Probe.floats(context, x, 1)).containsExactly(1);
    Probe.free(context, x);
  }

  @Test
  void polling_comesToAnEnd() {
    long x = Probe.allocate(context, 4);
    producer.fill32(x, ONE, 1);
    producer.fill32(x, TWO, 1);
    int polls = 1;
    while (!producer.isDone()) {
      polls++;
    }
    assertThat(polls).isEqualTo(3);
    assertThat(gpus.counters().synchronizations()).isZero();
    Probe.free(context, x);
  }

  @Test
  void timedEvents_measureWhatRanBetweenThem() {
    long x = Probe.allocate(context, 4);
    try (CudaEvent start = CudaEvent.openTimed(context);
        CudaEvent end = CudaEvent.openTimed(context);
        CudaEvent untimed = CudaEvent.open(context)) {
      producer.record(start);
      producer.fill32(x, ONE, 1);
      producer.record(end);
      producer.record(untimed);
      assertThatThrownBy(() -> end.millisecondsSince(start))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUDA_ERROR_NOT_READY");
      producer.synchronize();
      assertThat(end.millisecondsSince(start)).isPositive();
      assertThatThrownBy(() -> untimed.millisecondsSince(start))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUDA_ERROR_INVALID_HANDLE");
    }
    Probe.free(context, x);
  }

  @Test
  void pinnedMemory_isReadWhenTheCopyRuns() {
    long x = Probe.allocate(context, 8);
    MemorySegment host = Probe.pinned(context, 4);
    host.set(JAVA_FLOAT, 0, 1);
    producer.copyFromHost(x, host, 4);
    host.set(JAVA_FLOAT, 0, 2);
    producer.copyFromHost(x + 4, host, 4);
    producer.synchronize();
    assertThat(Probe.floats(context, x, 2))
        .as("the first was overwritten too early")
        .containsExactly(2, 2);
    assertThat(gpus.counters().pageableCopies()).isZero();
    Probe.freePinned(host);
    Probe.free(context, x);
  }

  @Test
  void otherHostMemory_isReadAtOnceAndMakesTheHostWait() {
    long x = Probe.allocate(context, 8);
    try (java.lang.foreign.Arena arena = java.lang.foreign.Arena.ofConfined()) {
      MemorySegment host = arena.allocate(JAVA_FLOAT);
      host.set(JAVA_FLOAT, 0, 1);
      producer.fill32(x + 4, TWO, 1);
      producer.copyFromHost(x, host, 4);
      host.set(JAVA_FLOAT, 0, 3);
      assertThat(gpus.counters().pageableCopies()).isEqualTo(1);
      assertThat(Probe.floats(context, x + 4, 1)).as("work before the copy ran").containsExactly(2);
      producer.synchronize();
      assertThat(Probe.floats(context, x, 1)).containsExactly(1);
    }
    Probe.free(context, x);
  }

  @Test
  void useBeforeTheAllocationInStreamOrder_isAFault() {
    long x = Probe.allocate(producer, 4);
    consumer.fill32(x, ONE, 1);
    assertThatThrownBy(consumer::synchronize)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS")
        .hasMessageContaining("used before its allocation in stream order");
  }

  @Test
  void useAfterTheFreeInStreamOrder_isAFault() {
    long x = Probe.allocate(producer, 4);
    producer.synchronize();
    consumer.fill32(x, ONE, 1);
    Probe.free(producer, x);
    producer.synchronize();
    assertThatThrownBy(consumer::synchronize)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("in an allocation that was freed");
  }

  @Test
  void useBeforeTheFreeInStreamOrder_isFine() {
    long x = Probe.allocate(producer, 4);
    try (CudaEvent event = CudaEvent.open(context)) {
      producer.record(event);
      consumer.waitFor(event);
      consumer.fill32(x, ONE, 1);
      consumer.record(event);
      producer.waitFor(event);
      Probe.free(producer, x);
      producer.synchronize();
    }
    assertThat(gpus.complaints()).isEmpty();
    assertThat(gpus.allocatedBytes(0)).isZero();
  }

  @Test
  void freeingTwice_isRefused() {
    long x = Probe.allocate(producer, 4);
    Probe.free(producer, x);
    assertThatThrownBy(() -> Probe.free(producer, x))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_INVALID_VALUE");
    assertThat(gpus.complaints()).last().asString().contains("which is freed already");
    producer.synchronize();
  }

  @Test
  void memoryFreedInStreamOrder_isThereForTheNextAllocation() {
    close();
    install(SimulatedOptions.lazily().withMemoryBytes(1 << 20));
    long x = Probe.allocate(producer, 768 << 10);
    Probe.free(producer, x);
    long y = Probe.allocate(producer, 768 << 10);
    producer.fill8(y, (byte) 1, 768 << 10);
    Probe.free(producer, y);
    producer.synchronize();
    assertThat(gpus.complaints()).isEmpty();
  }

  @Test
  void fault_losesTheContext_andWhatWasQueuedNeverRuns() {
    long x = Probe.allocate(context, 4);
    consumer.fill32(x, ONE, 1);
    producer.fill32(x, ONE, 2);
    assertThatThrownBy(producer::synchronize)
        .isInstanceOfSatisfying(
            CudaException.class, thrown -> assertThat(thrown.status()).isEqualTo(700))
        .hasMessageContaining("runs 4 bytes over the end of the allocation")
        .hasMessageContaining("context is lost");
    assertThatThrownBy(consumer::synchronize).hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS");
    assertThatThrownBy(() -> Probe.allocate(context, 4))
        .hasMessageContaining("cuMemAlloc(): CUDA_ERROR_ILLEGAL_ADDRESS");
    assertThat(gpus.complaints().get(0)).contains("fault on simulated GPU 0 in fill of 8 bytes");
  }

  @Test
  void functionThatIsNotSimulated_isRefusedByName() {
    assertThat(Cuda.cuCtxGetLimit(MemorySegment.NULL, 0)).isEqualTo(801);
    assertThat(gpus.complaints())
        .last()
        .asString()
        .isEqualTo("cuCtxGetLimit: the simulated driver has no cuCtxGetLimit; add it there");
  }

  @Test
  void defaultStream_isRefused() {
    long x = Probe.allocate(context, 4);
    assertThat(Cuda.cuMemsetD8Async(x, (byte) 0, 4, MemorySegment.NULL)).isEqualTo(400);
    assertThat(gpus.complaints()).last().asString().contains("the default stream");
    Probe.free(context, x);
  }
}
