package dev.heddle.train.config;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A YAML value that remembers where it was written: the tree between the text and the records. */
sealed interface ConfigValue {

  Origin origin();

  /** The value as a refusal shows it. */
  String shown();

  /** What a scalar is under the YAML 1.2 core schema. */
  enum Kind {
    WHOLE,
    DECIMAL,
    FLAG,
    NOTHING,
    TEXT
  }

  /** A number, a word or nothing. */
  record Scalar(String text, Kind kind, Origin origin) implements ConfigValue {
    @Override
    public String shown() {
      return text.isEmpty() ? (kind == Kind.NOTHING ? "(nothing)" : "''") : text;
    }
  }

  /** A list. */
  record Listing(List<ConfigValue> items, Origin origin) implements ConfigValue {
    @Override
    public String shown() {
      return items.stream().map(ConfigValue::shown).toList().toString();
    }
  }

  /** Keys with values, in the order written. */
  record Section(Map<String, Entry> entries, Origin origin) implements ConfigValue {

    public Section {
      entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    @Override
    public String shown() {
      return "{" + String.join(", ", entries.keySet()) + "}";
    }

    /** This section with the value at the end of a path of keys replaced or added. */
    Section with(List<String> path, ConfigValue value) {
      Map<String, Entry> changed = new LinkedHashMap<>(entries);
      String key = path.getFirst();
      Entry old = changed.get(key);
      ConfigValue placed = value;
      if (path.size() > 1) {
        Section inner =
            old != null && old.value() instanceof Section section
                ? section
                : new Section(Map.of(), value.origin());
        placed = inner.with(path.subList(1, path.size()), value);
      }
      changed.put(key, new Entry(old == null ? value.origin() : old.keyOrigin(), placed));
      return new Section(changed, origin);
    }
  }

  /** A value and the place of its key. */
  record Entry(Origin keyOrigin, ConfigValue value) {}
}
