package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.cli.MissingDeviceException;
import org.junit.jupiter.api.Test;

class GpusTest {
  @Test
  void withoutADriver_theRunIsRefusedWithWhatWasTriedAndWhatToDo() {
    assumeFalse(NativeLibrary.CUDA.isAvailable(), "this machine has a CUDA driver");
    assertThatThrownBy(() -> RankDevices.of(DeviceKind.cuda))
        .isInstanceOf(MissingDeviceException.class)
        .hasMessageStartingWith("--device cuda: the CUDA driver is not found")
        .hasMessageContaining("tried ")
        .hasMessageContaining(NativeLibrary.CUDA.fix())
        .hasMessageEndingWith("Without --device the run computes on this machine's cores.");
  }
}
