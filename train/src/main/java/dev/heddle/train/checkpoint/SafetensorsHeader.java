package dev.heddle.train.checkpoint;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The header of a safetensors file: which tensor lies where. Reading it trusts nothing; a header
 * that passes describes tensors that cover the data exactly once.
 *
 * @param metadata free texts
 * @param entries the tensors in the order of their data
 */
record SafetensorsHeader(Map<String, String> metadata, List<Entry> entries) {
  /** Longest header: the limit of the reference implementation. */
  static final long LONGEST = 100_000_000;

  private static final String METADATA = "__metadata__";

  /**
   * A tensor and its bytes, counted from the end of the header.
   *
   * @param begin first byte
   * @param end one after the last byte
   */
  record Entry(TensorSpec tensor, long begin, long end) {}

  /**
   * Lays tensors out one after another. Larger elements come first, so that every tensor of a
   * mapped file is aligned to its element; among equals the given order stays.
   *
   * @throws IllegalArgumentException when a name is there twice or is the one kept for metadata
   */
  static SafetensorsHeader of(Map<String, String> metadata, List<TensorSpec> tensors) {
    Map<String, Entry> entries = new LinkedHashMap<>();
    long begin = 0;
    List<TensorSpec> ordered =
        tensors.stream()
            .sorted(Comparator.comparingInt((TensorSpec tensor) -> -tensor.type().byteSize()))
            .toList();
    for (TensorSpec tensor : ordered) {
      long end = Math.addExact(begin, tensor.byteSize());
      if (tensor.name().equals(METADATA)
          || entries.put(tensor.name(), new Entry(tensor, begin, end)) != null) {
        throw new IllegalArgumentException(
            "the tensor name " + tensor.name() + " is there twice or kept for metadata");
      }
      begin = end;
    }
    return new SafetensorsHeader(metadata, List.copyOf(entries.values()));
  }

  /** Bytes of all tensors. */
  long dataSize() {
    return entries.isEmpty() ? 0 : entries.getLast().end();
  }

  /** The header as bytes, its length before it, filled up with spaces to a multiple of 8. */
  byte[] toBytes() {
    Map<String, @Nullable Object> json = new LinkedHashMap<>();
    if (!metadata.isEmpty()) {
      json.put(METADATA, metadata);
    }
    for (Entry entry : entries) {
      json.put(
          entry.tensor().name(),
          Map.of(
              "dtype", entry.tensor().type().name(),
              "shape", entry.tensor().shape(),
              "data_offsets", List.of(entry.begin(), entry.end())));
    }
    byte[] text = Json.write(json).getBytes(StandardCharsets.UTF_8);
    int padded = (text.length + 7) / 8 * 8;
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + padded).order(java.nio.ByteOrder.LITTLE_ENDIAN).putLong(padded);
    bytes.put(text);
    while (bytes.hasRemaining()) {
      bytes.put((byte) ' ');
    }
    return bytes.array();
  }

  /**
   * Reads a header.
   *
   * @param bytes the header without its length
   * @param dataSize bytes that follow it
   * @throws JsonException with the reason when it is not a header of that data
   */
  static SafetensorsHeader parse(ByteBuffer bytes, long dataSize) {
    if (!bytes.hasRemaining() || bytes.get(bytes.position()) != '{') {
      throw new JsonException("the header does not begin with '{'");
    }
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new JsonException("the header is not UTF-8", e);
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    List<Entry> entries = new ArrayList<>();
    for (Map.Entry<String, @Nullable Object> property : Json.parseObject(text).entrySet()) {
      String name = property.getKey();
      if (name.equals(METADATA)) {
        Json.object(property.getValue(), METADATA)
            .forEach((key, value) -> metadata.put(key, Json.text(value, METADATA + "." + key)));
      } else {
        entries.add(entry(name, Json.object(property.getValue(), "tensor " + name), dataSize));
      }
    }
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long covered = 0;
    for (Entry entry : entries) {
      if (entry.begin() != covered) {
        throw new JsonException(
            "tensor %s begins at byte %d of the data, %s"
                .formatted(
                    entry.tensor().name(),
                    entry.begin(),
                    entry.begin() < covered
                        ? "inside the tensor before it, which ends at " + covered
                        : "and nothing says what the bytes from " + covered + " are"));
      }
      covered = entry.end();
    }
    if (covered != dataSize) {
      throw new JsonException(
          "the tensors end at byte %d of the data and %d bytes are there: %s"
              .formatted(
                  covered, dataSize, dataSize < covered ? "cut short" : "something follows them"));
    }
    return new SafetensorsHeader(Map.copyOf(metadata), List.copyOf(entries));
  }

  private static Entry entry(String name, Map<String, @Nullable Object> json, long dataSize) {
    for (String key : json.keySet()) {
      if (!List.of("dtype", "shape", "data_offsets").contains(key)) {
        throw new JsonException("tensor " + name + " has the unknown property " + key);
      }
    }
    String dtype = Json.text(json.get("dtype"), "dtype of " + name);
    TensorType type =
        TensorType.of(dtype)
            .orElseThrow(
                () ->
                    new JsonException(
                        "tensor %s has dtype %s, known are %s"
                            .formatted(name, dtype, List.of(TensorType.values()))));
    List<Long> shape = wholes(json.get("shape"), "shape of " + name);
    List<Long> offsets = wholes(json.get("data_offsets"), "data_offsets of " + name);
    TensorSpec tensor;
    try {
      tensor = new TensorSpec(name, type, shape);
    } catch (IllegalArgumentException e) {
      throw new JsonException(String.valueOf(e.getMessage()), e);
    }
    if (offsets.size() != 2 || offsets.get(0) < 0 || offsets.get(1) < offsets.get(0)) {
      throw new JsonException("tensor " + name + " has data_offsets " + offsets);
    }
    if (offsets.get(1) > dataSize) {
      throw new JsonException(
          "tensor %s ends at byte %d of the data and only %d bytes are there: cut short"
              .formatted(name, offsets.get(1), dataSize));
    }
    if (offsets.get(1) - offsets.get(0) != tensor.byteSize()) {
      throw new JsonException(
          "tensor %s of %s %s needs %d bytes and has %d"
              .formatted(name, type, shape, tensor.byteSize(), offsets.get(1) - offsets.get(0)));
    }
    return new Entry(tensor, offsets.get(0), offsets.get(1));
  }

  private static List<Long> wholes(@Nullable Object value, String name) {
    List<Long> numbers = new ArrayList<>();
    for (Object item : Json.list(value, name)) {
      numbers.add(Json.whole(item, name));
    }
    return numbers;
  }
}
