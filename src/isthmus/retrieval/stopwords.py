"""Words that say nothing about a question's subject, in English and German: a question of nothing else is searched
for as it is. Negations are absent on purpose: they change what is asked."""

from __future__ import annotations

_ENGLISH = """
a about above after again all also am among an and another any anybody anyone anything are as ask at away be became
because been before being below between both but by came can come could did do does doing done down during each
either else ever every everyone everything few find first for found from further gave get give given gives go goes
going good got had has have having he hello help her here hers herself hey hi him himself his how however i if in
into is it its itself just kindly know known last later least less let like ll made make makes many may maybe me
might mine more most much must my myself need now of off often on once one only or other others ought our ours out
over own perhaps please possible put quite rather re really s said same say says see seen shall she should show since
so some somebody someone something soon still such sure t take tell than thank thanks that the their theirs them
themselves then there therefore these they thing things this those though through thus to together too toward under
until up upon us use used using usually ve very want wants was way we well went were what whatever when where
whether which while who whom whose why will with within would yes yet you your yours yourself yourselves
"""

_GERMAN = """
aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bereits bin bis bist bitte da
dabei dafür damit danach dann daran darauf das dass daß davon dazu dein deine dem den denn der deren des deshalb
dessen die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es etwas
euch euer für gab geben gegen gehen gibt habe haben hallo hat hatte hatten her hier hin ich ihm ihn ihnen ihr ihre
ihrem ihren ihrer im in ins ist ja jede jedem jeden jeder jedes kann kannst können könnte machen macht man mehr mein
meine meinem meinen meiner mich mir mit muss müssen nach nachdem noch nun nur ob oder ohne sagen sagt sehr sein seine
seinem seinen seiner seit sich sie sind so sogar solche soll sollen sollte sondern sowie über um und uns unser unsere
unter viel viele vom von vor wann war waren warum was wegen weil welche welchem welchen welcher welches wem wen wenn
wer werde werden wie wieder wird wir wo wohin wurde wurden würde zu zum zur zwischen
"""

STOPWORDS = frozenset((_ENGLISH + _GERMAN).split())
