package dev.heddle.train.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsTest {
  @TempDir Path folder;

  private static final List<TensorSpec> TENSORS =
      List.of(
          TensorSpec.of("bytes", TensorType.U8, 3),
          TensorSpec.of("w", TensorType.F32, 2, 3),
          TensorSpec.of("half", TensorType.BF16, 5),
          TensorSpec.of("scalar", TensorType.F64),
          TensorSpec.of("none", TensorType.I32, 0, 7),
          TensorSpec.of("long", TensorType.I64, 2),
          TensorSpec.of("more \"names\" é", TensorType.F32, 1, 1, 1));

  private static MemorySegment bytesOf(TensorSpec tensor) {
    byte[] bytes = new byte[Math.toIntExact(tensor.byteSize())];
    new Random(tensor.name().hashCode()).nextBytes(bytes);
    return MemorySegment.ofArray(bytes);
  }

  private Path written() throws IOException {
    Path file = folder.resolve("model.safetensors");
    Files.deleteIfExists(file);
    SafetensorsWriter.write(file, Map.of("format", "heddle"), TENSORS, SafetensorsTest::bytesOf);
    return file;
  }

  @Test
  void write_thenOpen_givesTheSameBytesAlignedToTheirElements() throws IOException {
    try (SafetensorsFile file = SafetensorsFile.open(written())) {
      assertThat(file.metadata()).containsExactly(Map.entry("format", "heddle"));
      assertThat(file.tensors()).containsExactlyInAnyOrderElementsOf(TENSORS);
      assertThat(file.tensors()).isEqualTo(SafetensorsWriter.order(TENSORS));
      for (TensorSpec tensor : TENSORS) {
        MemorySegment data = file.data(tensor.name());
        assertThat(data.mismatch(bytesOf(tensor))).as(tensor.name()).isEqualTo(-1);
        assertThat(data.address() % tensor.type().byteSize()).as(tensor.name()).isZero();
        assertThat(data.isReadOnly()).isTrue();
      }
      assertThatThrownBy(() -> file.data("v"))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("model.safetensors: there is no tensor v in it; there are [");
    }
  }

  @Test
  void write_isTheFormatOfTheSpecification() throws IOException {
    Path file = folder.resolve("one.safetensors");
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(8);
      value.set(ValueLayout.JAVA_FLOAT, 0, 1.5f);
      value.set(ValueLayout.JAVA_FLOAT, 4, -2f);
      SafetensorsWriter.write(
          file, Map.of(), List.of(TensorSpec.of("x", TensorType.F32, 2)), tensor -> value);
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int length = Math.toIntExact(bytes.getLong());
    assertThat(length % 8).isZero();
    byte[] header = new byte[length];
    bytes.get(header);
    assertThat(new String(header, StandardCharsets.UTF_8).strip())
        .startsWith("{\"x\":{")
        .contains("\"dtype\":\"F32\"", "\"shape\":[2]", "\"data_offsets\":[0,8]");
    assertThat(bytes.getFloat()).isEqualTo(1.5f);
    assertThat(bytes.getFloat()).isEqualTo(-2f);
    assertThat(bytes.hasRemaining()).isFalse();
  }

  @Test
  void write_bytesThatDoNotFillTheShape_isRefused() {
    assertThatThrownBy(
            () ->
                SafetensorsWriter.write(
                    folder.resolve("x"),
                    Map.of(),
                    List.of(TensorSpec.of("x", TensorType.F32, 2)),
                    tensor -> MemorySegment.ofArray(new byte[7])))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("needs 8 bytes and 7 were given");
    assertThatThrownBy(() -> SafetensorsWriter.order(List.of(TENSORS.get(0), TENSORS.get(0))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("bytes is there twice");
    assertThatThrownBy(() -> TensorSpec.of("x", TensorType.F32, -1))
        .hasMessageContaining("negative dim");
    assertThatThrownBy(() -> TensorSpec.of("x", TensorType.F32, 1L << 40, 1L << 40))
        .hasMessageContaining("more bytes than a file can hold");
  }

  @Test
  void open_fileCutAtAnyLength_isRefusedByName() throws IOException {
    byte[] whole = Files.readAllBytes(written());
    Path cut = folder.resolve("cut.safetensors");
    for (int length = 0; length < whole.length; length++) {
      Files.write(cut, java.util.Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> SafetensorsFile.open(cut).close())
          .as("cut to %d of %d bytes", length, whole.length)
          .isInstanceOf(CheckpointException.class)
          .hasMessageStartingWith(cut + ": ")
          .hasMessageContaining("cut short");
    }
  }

  @Test
  void open_headerWithRandomBytesChanged_isRefusedOrConsistentNeverOutOfBounds()
      throws IOException {
    byte[] whole = Files.readAllBytes(written());
    Path file = folder.resolve("noise.safetensors");
    long seed = Long.getLong("heddle.seed", System.nanoTime());
    Random random = new Random(seed);
    int refused = 0;
    for (int round = 0; round < 400; round++) {
      byte[] noisy = whole.clone();
      int headerEnd = 8 + (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
      for (int change = 0; change <= random.nextInt(3); change++) {
        noisy[random.nextInt(headerEnd)] = (byte) random.nextInt(256);
      }
      Files.write(file, noisy);
      try (SafetensorsFile opened = SafetensorsFile.open(file)) {
        for (TensorSpec tensor : opened.tensors()) {
          assertThat(opened.data(tensor.name()).byteSize())
              .as("replay with -Dheddle.seed=%d", seed)
              .isEqualTo(tensor.byteSize());
        }
      } catch (CheckpointException e) {
        refused++;
      }
    }
    assertThat(refused).as("replay with -Dheddle.seed=%d", seed).isPositive();
  }

  static Stream<Arguments> badHeaders() {
    String f32 = "'dtype':'F32','shape':[1],";
    return Stream.of(
        Arguments.of("x{}", 0, "the header does not begin with"),
        Arguments.of("{'a':}", 0, "Unexpected character"),
        Arguments.of("{} {}", 0, "more after the value"),
        Arguments.of("{'a':3}", 0, "tensor a is 3, not an object"),
        Arguments.of(
            "{'a':{" + f32 + "'data_offsets':[0,4]},'a':{" + f32 + "'data_offsets':[4,8]}}",
            8,
            "Duplicate"),
        Arguments.of(
            "{'a':{'dtype':'F8','shape':[1],'data_offsets':[0,1]}}",
            1,
            "tensor a has dtype F8, known are [F32, F64, BF16, I32, I64, U8]"),
        Arguments.of("{'a':{'shape':[1],'data_offsets':[0,1]}}", 1, "dtype of a is missing"),
        Arguments.of("{'a':{'dtype':'U8','data_offsets':[0,1]}}", 1, "shape of a is missing"),
        Arguments.of(
            "{'a':{'dtype':'U8','shape':[1],'data_offsets':[0,1],'x':1}}", 1, "unknown property x"),
        Arguments.of(
            "{'a':{'dtype':'U8','shape':[-1],'data_offsets':[0,1]}}", 1, "has a negative dim"),
        Arguments.of(
            "{'a':{'dtype':'U8','shape':[4611686018427387904,4],'data_offsets':[0,1]}}",
            1,
            "more bytes than a file can hold"),
        Arguments.of(
            "{'a':{'dtype':'U8','shape':[1.5],'data_offsets':[0,1]}}",
            1,
            "shape of a is 1.5, not a whole number"),
        Arguments.of(
            "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,4]}}",
            4,
            "tensor a of F32 [2] needs 8 bytes and has 4"),
        Arguments.of("{'a':{" + f32 + "'data_offsets':[4,0]}}", 4, "has data_offsets [4, 0]"),
        Arguments.of("{'a':{" + f32 + "'data_offsets':[-4,0]}}", 4, "has data_offsets [-4, 0]"),
        Arguments.of("{'a':{" + f32 + "'data_offsets':[0]}}", 4, "has data_offsets [0]"),
        Arguments.of(
            "{'a':{" + f32 + "'data_offsets':[4,8]}}", 4, "only 4 bytes are there: cut short"),
        Arguments.of(
            "{'a':{" + f32 + "'data_offsets':[0,4]},'b':{" + f32 + "'data_offsets':[2,6]}}",
            6,
            "tensor b begins at byte 2 of the data, inside the tensor before it"),
        Arguments.of(
            "{'a':{" + f32 + "'data_offsets':[4,8]}}",
            8,
            "tensor a begins at byte 4 of the data, and nothing says"),
        Arguments.of(
            "{'a':{" + f32 + "'data_offsets':[0,4]}}", 5, "5 bytes are there: something follows"),
        Arguments.of("{'__metadata__':{'a':1}}", 0, "__metadata__.a is 1, not a text"));
  }

  @ParameterizedTest
  @MethodSource("badHeaders")
  void open_headerThatIsNotSound_saysWhichTensorAndWhy(String header, int dataSize, String reason)
      throws IOException {
    byte[] text = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    Path file = folder.resolve("bad.safetensors");
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + text.length + dataSize).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(text.length).put(text);
    Files.write(file, bytes.array());
    assertThatThrownBy(() -> SafetensorsFile.open(file).close())
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageContaining(reason);
  }

  @Test
  void open_headerLengthBeyondTheLimit_isRefusedWithoutReadingIt() throws IOException {
    Path file = folder.resolve("long.safetensors");
    for (long length : List.of(-1L, Long.MIN_VALUE, SafetensorsHeader.LONGEST + 1)) {
      Files.write(
          file, ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length).array());
      assertThatThrownBy(() -> SafetensorsFile.open(file).close())
          .hasMessageContaining("the header claims " + Long.toUnsignedString(length) + " bytes");
    }
    assertThatThrownBy(() -> SafetensorsFile.open(folder.resolve("absent")).close())
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("there is no such file");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void write_tensorLongerThanOnePiece_keepsEveryByteAndTheSum(boolean offHeap) throws IOException {
    Path file = folder.resolve("large.safetensors");
    int size = (16 << 20) + 12345;
    TensorSpec tensor = TensorSpec.of("large", TensorType.U8, size);
    MemorySegment expected = bytesOf(tensor);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = offHeap ? arena.allocate(size).copyFrom(expected) : expected;
      FileSum sum = SafetensorsWriter.write(file, Map.of(), List.of(tensor), asked -> source);
      assertThat(FileSum.of(file)).isEqualTo(sum);
    }
    try (SafetensorsFile opened = SafetensorsFile.open(file)) {
      assertThat(opened.data("large").mismatch(expected)).isEqualTo(-1);
    }
  }

  @Test
  void write_asksForTensorsOneAtATimeInTheOrderTold() throws IOException {
    List<String> asked = new ArrayList<>();
    SafetensorsWriter.write(
        folder.resolve("order"),
        Map.of(),
        TENSORS,
        tensor -> {
          asked.add(tensor.name());
          return bytesOf(tensor);
        });
    assertThat(asked)
        .isEqualTo(SafetensorsWriter.order(TENSORS).stream().map(TensorSpec::name).toList());
  }
}
