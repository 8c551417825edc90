"""Made-up strings of software in English, German, Lithuanian, Hindi and Tamil: do something to something somewhere."""

LANGUAGES = ("en", "de", "lt", "hi", "ta")
# A word per language, in the order of LANGUAGES.
VERBS = [
    ("open", "öffnen", "atidaryti", "खोलें", "திறக்கவும்"),
    ("close", "schließen", "uždaryti", "बंद करें", "மூடவும்"),
    ("move", "verschieben", "perkelti", "खिसकाएँ", "நகர்த்தவும்"),
    ("delete", "löschen", "ištrinti", "मिटाएँ", "நீக்கவும்"),
    ("copy", "kopieren", "kopijuoti", "कॉपी करें", "நகலெடுக்கவும்"),
    ("show", "anzeigen", "rodyti", "दिखाएँ", "காட்டவும்"),
]
THINGS = [
    ("file", "Datei", "failą", "फ़ाइल", "கோப்பை"),
    ("folder", "Ordner", "aplanką", "फ़ोल्डर", "கோப்புறையை"),
    ("picture", "Bild", "vaizdą", "चित्र", "படத்தை"),
    ("list", "Liste", "sąrašą", "सूची", "பட்டியலை"),
    ("page", "Seite", "puslapį", "पृष्ठ", "பக்கத்தை"),
    ("message", "Nachricht", "žinutę", "संदेश", "செய்தியை"),
]
PLACES = [
    ("browser", "Browser", "naršyklėje", "ब्राउज़र में", "உலாவியில்"),
    ("menu", "Menü", "meniu", "मेन्यू में", "பட்டியில்"),
    ("account", "Konto", "paskyroje", "खाते में", "கணக்கில்"),
    ("notebook", "Notizbuch", "užrašinėje", "नोटबुक में", "குறிப்பேட்டில்"),
    *((name,) * 5 for name in ("Zigbee", "Kodi", "Matter")),  # names stay, so probes have something to replace
]


def say(language: int, verb, thing, place) -> str:
    """Return the string of a verb, thing and place in the language of that number."""
    if language == 0:
        return f"{verb[0]} the {thing[0]} in the {place[0]}"
    return f"{place[language]} {thing[language]} {verb[language]}"
