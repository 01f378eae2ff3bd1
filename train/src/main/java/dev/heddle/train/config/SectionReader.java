package dev.heddle.train.config;

import dev.heddle.train.config.ConfigValue.Entry;
import dev.heddle.train.config.ConfigValue.Kind;
import dev.heddle.train.config.ConfigValue.Listing;
import dev.heddle.train.config.ConfigValue.Scalar;
import dev.heddle.train.config.ConfigValue.Section;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.DoublePredicate;
import org.jspecify.annotations.Nullable;

/**
 * Takes typed values out of one section. A wrong value becomes a problem and the default stands in
 * for it, so that one reading finds everything that is wrong. The keys asked for are the keys that
 * exist: {@link #refuseOtherKeys} refuses the rest.
 */
final class SectionReader {
  private final Section section;
  private final String path;
  private final String file;
  private final Provenance provenance;
  private final List<ConfigProblem> problems;
  private final Set<String> known = new LinkedHashSet<>();

  SectionReader(
      Section section,
      String path,
      String file,
      Provenance provenance,
      List<ConfigProblem> problems) {
    this.section = section;
    this.path = path;
    this.file = file;
    this.provenance = provenance;
    this.problems = problems;
  }

  /** The dotted name of a key of this section. */
  String name(String key) {
    return path.isEmpty() ? key : path + "." + key;
  }

  /** Whether the key is there with a value. */
  boolean has(String key) {
    return value(key) != null;
  }

  /** Whether a key that was read had its value from the command line. */
  boolean isOnCommandLine(String key) {
    return provenance.isOnCommandLine(name(key));
  }

  /** Corrects what a default that depends on other keys is shown as. */
  void showDefault(String key, String shown) {
    provenance.put(name(key), new Origin.ByDefault(file), shown);
  }

  /** A whole number of at least {@code minimum}. */
  int whole(String key, int byDefault, int minimum) {
    return (int) whole(key, byDefault, minimum, Integer.MAX_VALUE);
  }

  /** A whole number between two bounds, both included. */
  long whole(String key, long byDefault, long minimum, long maximum) {
    ConfigValue value = take(key, Long.toString(byDefault));
    if (value == null) {
      return byDefault;
    }
    String accepted =
        maximum == Integer.MAX_VALUE || maximum == Long.MAX_VALUE
            ? "a whole number of at least " + minimum
            : "a whole number from " + minimum + " to " + maximum;
    if (!(value instanceof Scalar scalar) || scalar.kind() != Kind.WHOLE) {
      refuse(key, value, "not a whole number", accepted);
      return byDefault;
    }
    BigInteger number = wholeNumber(scalar.text());
    if (number.compareTo(BigInteger.valueOf(minimum)) < 0) {
      refuse(key, value, number.signum() < 0 ? "negative" : "too small", accepted);
      return byDefault;
    }
    if (number.compareTo(BigInteger.valueOf(maximum)) > 0) {
      refuse(key, value, "too large", "a whole number from " + minimum + " to " + maximum);
      return byDefault;
    }
    return number.longValueExact();
  }

  /** A number for which {@code allowed} holds. */
  double number(String key, double byDefault, DoublePredicate allowed, String accepted) {
    ConfigValue value = take(key, Double.toString(byDefault));
    if (value == null) {
      return byDefault;
    }
    if (!(value instanceof Scalar scalar)
        || (scalar.kind() != Kind.WHOLE && scalar.kind() != Kind.DECIMAL)) {
      refuse(key, value, "not a number", accepted);
      return byDefault;
    }
    double number = decimalNumber(scalar);
    if (!allowed.test(number)) {
      String reason =
          Double.isNaN(number)
              ? "not a number"
              : number < 0 ? "negative" : Double.isInfinite(number) ? "infinite" : "out of range";
      refuse(key, value, reason, accepted);
      return byDefault;
    }
    return number;
  }

  /** {@code true} or {@code false}. */
  boolean flag(String key, boolean byDefault) {
    return word(key, Boolean.toString(byDefault), List.of("true", "false")).equals("true");
  }

  /** A list of whole numbers of at least {@code minimum}; empty when it is left out. */
  List<Integer> wholes(String key, int minimum) {
    ConfigValue value = take(key, "");
    if (value == null) {
      return List.of();
    }
    String accepted = "a list of whole numbers of at least " + minimum + ", such as [2, 1]";
    List<ConfigValue> items = value instanceof Listing listing ? listing.items() : List.of(value);
    List<Integer> numbers = new ArrayList<>();
    for (ConfigValue item : items) {
      BigInteger number =
          item instanceof Scalar scalar && scalar.kind() == Kind.WHOLE
              ? wholeNumber(scalar.text())
              : BigInteger.valueOf(-1);
      if (number.compareTo(BigInteger.valueOf(minimum)) < 0 || number.bitLength() > 31) {
        refuse(key, value, item.shown() + " is not such a number", accepted);
        return List.of();
      }
      numbers.add(number.intValue());
    }
    return numbers;
  }

  /** Makes a key known that is asked for only where it is given. */
  void offer(String key) {
    known.add(key);
  }

  /** A text that is not empty. */
  String text(String key, String byDefault, String accepted) {
    ConfigValue value = take(key, byDefault);
    if (value == null) {
      return byDefault;
    }
    if (!(value instanceof Scalar scalar) || scalar.text().isBlank()) {
      refuse(key, value, "not a text", accepted);
      return byDefault;
    }
    return scalar.text();
  }

  /** One of some words. */
  String word(String key, String byDefault, List<String> words) {
    String accepted = String.join(", ", words);
    String word = text(key, byDefault, accepted);
    if (words.contains(word)) {
      return word;
    }
    ConfigValue value = value(key);
    if (value != null) {
      refuse(key, value, "unknown" + Spelling.hint(word, words), accepted);
    }
    return byDefault;
  }

  /** A set of ranks, written as a text, a number or a list. */
  RankSet ranks(String key, RankSet byDefault) {
    ConfigValue value = take(key, byDefault.toString());
    if (value == null) {
      return byDefault;
    }
    try {
      return switch (value) {
        case Scalar scalar -> RankSet.parse(scalar.text());
        case Listing listing ->
            RankSet.parse(
                String.join(",", listing.items().stream().map(ConfigValue::shown).toList()));
        case Section ignored -> throw new IllegalArgumentException("not a set of ranks");
      };
    } catch (IllegalArgumentException e) {
      refuse(key, value, String.valueOf(e.getMessage()), RankSet.SYNTAX);
      return byDefault;
    }
  }

  /** A section below this one; empty when it is left out. */
  SectionReader section(String key) {
    ConfigValue value = take(key, "");
    Section inner = new Section(Map.of(), new Origin.ByDefault(file));
    if (value instanceof Section found) {
      inner = found;
    } else if (value != null) {
      refuse(key, value, "not a section", "keys with values, such as " + key + ": {...}");
    }
    return new SectionReader(inner, name(key), file, provenance, problems);
  }

  /** Refuses every key that was not asked for. */
  void refuseOtherKeys() {
    for (Map.Entry<String, Entry> entry : section.entries().entrySet()) {
      String key = entry.getKey();
      if (known.contains(key)) {
        continue;
      }
      ConfigValue value = entry.getValue().value();
      boolean commaInFlow =
          known.contains("ranks")
              && key.matches("[0-9]+")
              && value instanceof Scalar scalar
              && scalar.kind() == Kind.NOTHING;
      String hint =
          commaInFlow
              ? "; inside braces YAML ends a value at a comma, write ranks: [0, 2] or \"0,2\""
              : Spelling.hint(key, known);
      problems.add(
          new ConfigProblem(
              entry.getValue().keyOrigin().locate(name(key), ""),
              "unknown key" + hint,
              String.join(", ", known)));
    }
  }

  private @Nullable ConfigValue value(String key) {
    Entry entry = section.entries().get(key);
    if (entry == null || (entry.value() instanceof Scalar s && s.kind() == Kind.NOTHING)) {
      return null;
    }
    return entry.value();
  }

  private @Nullable ConfigValue take(String key, String byDefault) {
    known.add(key);
    ConfigValue value = value(key);
    if (value == null) {
      provenance.put(name(key), new Origin.ByDefault(file), byDefault);
    } else {
      provenance.put(name(key), value.origin(), value.shown());
    }
    return value;
  }

  private void refuse(String key, ConfigValue value, String reason, String accepted) {
    problems.add(
        new ConfigProblem(value.origin().locate(name(key), value.shown()), reason, accepted));
  }

  private static BigInteger wholeNumber(String text) {
    String digits = text.startsWith("+") ? text.substring(1) : text;
    if (digits.startsWith("0x")) {
      return new BigInteger(digits.substring(2), 16);
    }
    return digits.startsWith("0o")
        ? new BigInteger(digits.substring(2), 8)
        : new BigInteger(digits);
  }

  private static double decimalNumber(Scalar scalar) {
    if (scalar.kind() == Kind.WHOLE) {
      return wholeNumber(scalar.text()).doubleValue();
    }
    return switch (scalar.text().toLowerCase(Locale.ROOT)) {
      case ".nan" -> Double.NaN;
      case ".inf", "+.inf" -> Double.POSITIVE_INFINITY;
      case "-.inf" -> Double.NEGATIVE_INFINITY;
      default -> Double.parseDouble(scalar.text());
    };
  }
}
