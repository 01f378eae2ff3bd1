package dev.heddle.train.checkpoint;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a checkpoint consists of. The text ends with a check sum of itself, so that an edited
 * manifest is noticed as an edited file is.
 *
 * @param step the optimizer step after which it was taken
 * @param attributes free texts
 * @param files the files beside it
 */
record Manifest(long step, Map<String, String> attributes, List<FileSum> files) {
  static final String NAME = "manifest.json";

  private static final String FORMAT = "heddle-checkpoint";
  private static final long VERSION = 1;
  private static final String OWN_SUM = "  \"manifest_crc32c\": ";

  String toJson() {
    StringBuilder text = new StringBuilder("{\n");
    line(text, "format", FORMAT);
    line(text, "version", VERSION);
    line(text, "step", step);
    line(text, "attributes", attributes);
    text.append("  \"files\": [\n");
    for (int i = 0; i < files.size(); i++) {
      FileSum file = files.get(i);
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("name", file.name());
      json.put("bytes", file.bytes());
      json.put("crc32c", file.hex());
      text.append("    ").append(Json.write(json)).append(i + 1 < files.size() ? ",\n" : "\n");
    }
    text.append("  ],\n");
    return text + OWN_SUM + "\"" + ownSum(text.toString()) + "\"\n}\n";
  }

  private static void line(StringBuilder text, String key, Object value) {
    text.append("  ").append(Json.write(key)).append(": ").append(Json.write(value)).append(",\n");
  }

  private static String ownSum(String text) {
    return FileSum.of(NAME, text.getBytes(StandardCharsets.UTF_8)).hex();
  }

  /**
   * Reads a manifest.
   *
   * @throws JsonException with the reason when it is not one or was edited
   */
  static Manifest parse(String text) {
    Map<String, @Nullable Object> json = Json.parseObject(text);
    String format = Json.text(json.get("format"), "format");
    long version = Json.whole(json.get("version"), "version");
    if (!format.equals(FORMAT) || version != VERSION) {
      throw new JsonException(
          "format %s version %d, and this Heddle reads %s version %d"
              .formatted(format, version, FORMAT, VERSION));
    }
    int end = text.lastIndexOf(OWN_SUM);
    String said = Json.text(json.get("manifest_crc32c"), "manifest_crc32c");
    if (end < 0 || !said.equals(ownSum(text.substring(0, end)))) {
      throw new JsonException("its text does not match its own check sum: it was edited");
    }
    Map<String, String> attributes = new LinkedHashMap<>();
    Json.object(json.get("attributes"), "attributes")
        .forEach((key, value) -> attributes.put(key, Json.text(value, key)));
    List<FileSum> files = new ArrayList<>();
    for (Object item : Json.list(json.get("files"), "files")) {
      Map<String, @Nullable Object> file = Json.object(item, "a file");
      String name = Json.text(file.get("name"), "name");
      if (!isFileName(name)) {
        throw new JsonException("'" + name + "' is not the name of a file in the folder");
      }
      long crc;
      try {
        crc = Long.parseLong(Json.text(file.get("crc32c"), "crc32c"), 16);
      } catch (NumberFormatException e) {
        throw new JsonException("the crc32c of " + name + " is not hexadecimal", e);
      }
      files.add(new FileSum(name, Json.whole(file.get("bytes"), "bytes"), crc));
    }
    return new Manifest(Json.whole(json.get("step"), "step"), attributes, List.copyOf(files));
  }

  /** Whether a name stays in the checkpoint's folder and does not hide the manifest. */
  static boolean isFileName(String name) {
    return name.matches("[A-Za-z0-9_][A-Za-z0-9._-]*") && !name.equals(NAME);
  }
}
