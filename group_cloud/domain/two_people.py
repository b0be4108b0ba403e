"""Whether two names may be one person; see `shared/identity/two_people.py`.

Asked before a second agreement is taken.
"""

from shared.identity.two_people import same_person as same_person
