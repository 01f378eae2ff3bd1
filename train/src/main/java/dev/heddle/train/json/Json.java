package dev.heddle.train.json;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/**
 * JSON to and from {@link Map} (in order), {@link List}, {@link String}, {@link Long}, {@link
 * BigInteger} (beyond a long), {@link Double}, {@link Boolean} and null.
 */
public final class Json {
  private static final JsonFactory FACTORY =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private Json() {}

  /**
   * Reads one JSON value. Bounds on nesting and number length keep hostile input from exhausting
   * the stack or the processor; the parser's own limits apply.
   *
   * @throws JsonException when the text is not JSON, has a key twice in one object, or goes on
   *     after the value
   */
  public static @Nullable Object parse(String text) {
    try (JsonParser parser = FACTORY.createParser(ObjectReadContext.empty(), text)) {
      if (parser.nextToken() == null) {
        throw new JsonException("there is nothing in it");
      }
      Object value = value(parser);
      if (parser.nextToken() != null) {
        throw new JsonException("there is more after the value");
      }
      return value;
    } catch (JacksonException e) {
      throw new JsonException(e.getOriginalMessage() + place(e), e);
    }
  }

  /**
   * Reads one JSON object.
   *
   * @throws JsonException as {@link #parse}, or when the value is not an object
   */
  public static Map<String, @Nullable Object> parseObject(String text) {
    return object(parse(text), "the value");
  }

  /**
   * A value as an object.
   *
   * @param name what it is, for the refusal
   * @throws JsonException when it is something else
   */
  @SuppressWarnings("unchecked") // Only this class makes the maps, with text keys.
  public static Map<String, @Nullable Object> object(@Nullable Object value, String name) {
    if (value instanceof Map<?, ?> map) {
      return (Map<String, @Nullable Object>) map;
    }
    throw new JsonException(name + " is " + kind(value) + ", not an object");
  }

  /**
   * A value as a list.
   *
   * @param name what it is, for the refusal
   * @throws JsonException when it is something else
   */
  @SuppressWarnings("unchecked") // Only this class makes the lists.
  public static List<@Nullable Object> list(@Nullable Object value, String name) {
    if (value instanceof List<?> list) {
      return (List<@Nullable Object>) list;
    }
    throw new JsonException(name + " is " + kind(value) + ", not a list");
  }

  /**
   * A value as a text.
   *
   * @param name what it is, for the refusal
   * @throws JsonException when it is something else
   */
  public static String text(@Nullable Object value, String name) {
    if (value instanceof String text) {
      return text;
    }
    throw new JsonException(name + " is " + kind(value) + ", not a text");
  }

  /**
   * A value as a whole number.
   *
   * @param name what it is, for the refusal
   * @throws JsonException when it is something else or does not fit a long
   */
  public static long whole(@Nullable Object value, String name) {
    if (value instanceof Long number) {
      return number;
    }
    throw new JsonException(name + " is " + kind(value) + ", not a whole number");
  }

  /**
   * A value as a number; null, which stands for one that is not finite, is NaN.
   *
   * @param name what it is, for the refusal
   * @throws JsonException when it is something else
   */
  public static double number(@Nullable Object value, String name) {
    if (value == null) {
      return Double.NaN;
    }
    if (value instanceof Number number) {
      return number.doubleValue();
    }
    throw new JsonException(name + " is " + kind(value) + ", not a number");
  }

  /**
   * Writes a value on one line. Doubles keep every digit; those that are not finite become null,
   * since JSON has no word for them.
   *
   * @throws IllegalArgumentException when the value holds something that JSON has no form for
   */
  public static String write(@Nullable Object value) {
    StringBuilder text = new StringBuilder();
    write(value, text);
    return text.toString();
  }

  private static @Nullable Object value(JsonParser parser) {
    return switch (parser.currentToken()) {
      case START_OBJECT -> {
        Map<String, @Nullable Object> map = new LinkedHashMap<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
          String key = parser.currentName();
          parser.nextToken();
          map.put(key, value(parser));
        }
        yield map;
      }
      case START_ARRAY -> {
        List<@Nullable Object> list = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          list.add(value(parser));
        }
        yield list;
      }
      case VALUE_STRING -> parser.getString();
      case VALUE_NUMBER_INT ->
          parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
              ? parser.getNumberValue()
              : (Object) parser.getLongValue();
      case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_NULL -> null;
      default -> throw new JsonException("unexpected " + parser.currentToken());
    };
  }

  private static String place(JacksonException e) {
    return e.getLocation() == null
        ? ""
        : " (line %d, column %d)"
            .formatted(e.getLocation().getLineNr(), e.getLocation().getColumnNr());
  }

  private static String kind(@Nullable Object value) {
    return switch (value) {
      case null -> "missing";
      case Map<?, ?> ignored -> "an object";
      case List<?> ignored -> "a list";
      case String text -> "the text '" + text + "'";
      default -> value.toString();
    };
  }

  private static void write(@Nullable Object value, StringBuilder text) {
    switch (value) {
      case null -> text.append("null");
      case String string -> quote(string, text);
      case Double number -> text.append(Double.isFinite(number) ? number.toString() : "null");
      case Float number -> text.append(Float.isFinite(number) ? number.toString() : "null");
      case Long number -> text.append(number.longValue());
      case Integer number -> text.append(number.intValue());
      case BigInteger number -> text.append(number);
      case Boolean truth -> text.append(truth.booleanValue());
      case Map<?, ?> map -> {
        text.append('{');
        for (Iterator<? extends Map.Entry<?, ?>> i = map.entrySet().iterator(); i.hasNext(); ) {
          Map.Entry<?, ?> entry = i.next();
          quote(String.valueOf(entry.getKey()), text);
          text.append(':');
          write(entry.getValue(), text);
          text.append(i.hasNext() ? "," : "");
        }
        text.append('}');
      }
      case List<?> list -> {
        text.append('[');
        for (int i = 0; i < list.size(); i++) {
          text.append(i == 0 ? "" : ",");
          write(list.get(i), text);
        }
        text.append(']');
      }
      default ->
          throw new IllegalArgumentException(
              "JSON has no form for a " + value.getClass().getName() + ": " + value);
    }
  }

  private static void quote(String string, StringBuilder text) {
    text.append('"');
    for (int i = 0; i < string.length(); i++) {
      char c = string.charAt(i);
      switch (c) {
        case '"', '\\' -> text.append('\\').append(c);
        case '\n' -> text.append("\\n");
        case '\r' -> text.append("\\r");
        case '\t' -> text.append("\\t");
        default -> {
          // A lone surrogate has no UTF-8 form, so it must not reach a file as it is.
          if (c < ' ' || (Character.isSurrogate(c) && !paired(string, i))) {
            text.append("\\u%04x".formatted((int) c));
          } else {
            text.append(c);
          }
        }
      }
    }
    text.append('"');
  }

  private static boolean paired(String string, int i) {
    char c = string.charAt(i);
    return Character.isHighSurrogate(c)
        ? i + 1 < string.length() && Character.isLowSurrogate(string.charAt(i + 1))
        : i > 0 && Character.isHighSurrogate(string.charAt(i - 1));
  }
}
