"""Names a believable account is made of. Only example domains: no mail can ever reach anybody."""

from __future__ import annotations

FIRST_NAMES = (
    *("Ada", "Amara", "Anaïs", "Andrés", "Beatriz", "Ben", "Björn", "Caleb", "Carmen", "Chiara", "Chloé", "Daniel"),
    *("Dmitri", "Elena", "Eliška", "Emeka", "Emma", "Farah", "Felix", "Freya", "Gabriel", "Grace", "Hana", "Harun"),
    *("Hiro", "Ines", "Isaac", "Jana", "Jonas", "José", "Julia", "Kaito", "Kasia", "Kwame", "Leila", "Liam"),
    *("Lucía", "Łukasz", "Maja", "Marco", "Mei", "Mira", "Nadia", "Noah", "Nora", "Olga", "Omar", "Paula"),
    *("Priya", "Rafael", "Ravi", "Rosa", "Sakura", "Samuel", "Sofia", "Sven", "Tariq", "Thandi", "Tomás", "Uma"),
    *("Victor", "Wanda", "Yusuf", "Zoë"),
)
LAST_NAMES = (
    *("Abebe", "Almeida", "Andersson", "Baker", "Banerjee", "Becker", "Bianchi", "Castro", "Chen", "Cohen", "Costa"),
    *("Dubois", "Eriksen", "Evans", "Fischer", "Fontaine", "Fujimoto", "García", "Gómez", "Haddad", "Hansen", "Hughes"),
    *("Ibrahim", "Ivanova", "Jansen", "Johnson", "Kapoor", "Keller", "Kim", "Kovács", "Kowalska", "Larsen", "Lefèvre"),
    *("Lindqvist", "López", "Martin", "Mbeki", "Meyer", "Moreau", "Müller", "Nakamura", "Nguyen", "Novák", "O'Connor"),
    *(
        "Okafor",
        "Olsen",
        "Patel",
        "Pereira",
        "Petrov",
        "Quinn",
        "Rahman",
        "Reyes",
        "Rossi",
        "Santos",
        "Sato",
        "Schmidt",
    ),
    *("Silva", "Tanaka", "Taylor", "Torres", "Wagner", "Weber", "Şahin", "Zhang"),
)
COMPANIES = (
    *("Alder & Finch", "Bluewater Labs", "Brightside Dental", "Cedar Analytics", "Cobalt Robotics", "Copper Kettle"),
    *("Drift Studio", "Ember Coffee", "Fjord Software", "Foxglove Media", "Granite Legal", "Harbor Freightways"),
    *("Helio Energy", "Ironbridge Tools", "Juniper Health", "Kestrel Travel", "Lantern Books", "Larkspur Design"),
    *("Meridian Foods", "Moss & Stone", "Northwind Cycles", "Oakline Furniture", "Orchard Learning", "Papertrail"),
    *("Pinecone Apps", "Quarry Climbing", "Redwood Partners", "Saltmarsh Surf", "Tidepool Games", "Umbra Optics"),
    *("Vantage Print", "Willow Clinic"),
)
SUFFIXES = ("GmbH", "Inc.", "Ltd", "S.A.", "B.V.", "AB", "LLC", "K.K.")
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com")
CITIES = (
    ("Berlin", "DE", "10115", "BE", "Invalidenstraße 12"),
    ("London", "GB", "N1 7AA", None, "14 Wharf Road"),
    ("Austin", "US", "78701", "TX", "401 Congress Avenue"),
    ("São Paulo", "BR", "01310-100", "SP", "Avenida Paulista 900"),
    ("東京", "JP", "150-0002", "東京都", "渋谷 2-21-1"),
    ("Toronto", "CA", "M5V 2T6", "ON", "88 Queens Quay W"),
    ("Kuwait City", "KW", "13001", None, "Block 4, Street 12"),
    ("Lyon", "FR", "69002", None, "3 rue Mercière"),
)
PRODUCTS = (
    ("Starter", "Everything one person needs to begin."),
    ("Team", "Shared workspaces for up to ten people."),
    ("Growth", "Automation and reports for teams that grow."),
    ("Business", "Roles, audit log and priority support."),
    ("Enterprise", "Single sign-on, own contract, own success manager."),
    ("API calls", "Metered access to the public API."),
    ("Extra seats", "Further seats on any plan."),
    ("Storage", "Additional storage, billed by the gigabyte."),
    ("Onboarding", "Two days with an engineer, once."),
    ("Priority support", "An answer within an hour, day and night."),
    ("Analytics add-on", "Dashboards and exports."),
    ("Tip jar", "Pay what you think it is worth."),
)
EDITIONS = ("", " 2024", " EU", " Legacy", " Plus", " Annual", " Nonprofit", " Education")
