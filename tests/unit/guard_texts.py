"""Texts for the guards' tests, all invented: letters about a patient in several layouts, and everyday questions."""
# ruff: noqa: E501

from __future__ import annotations

LETTERS = {
    "en, prose": (
        "Dear Dr Hollis, thank you for taking over the care of Mr John Averell, born 12 March 1961, insurance number "
        "H 4471 9023, who was discharged today. Diagnosis: community-acquired pneumonia. He was treated with "
        "amoxicillin 500 mg three times daily and is to be seen again in two weeks."
    ),
    "en, form": (
        "ST. BRIDE'S HOSPITAL\nDISCHARGE SUMMARY\n\nName: Margaret Oduya\nDOB: 04/09/1948\nNHS No: 943 476 5919\n"
        "Admitted: 02/02/2026\nDischarged: 09/02/2026\n\nDiagnosis: I10 essential hypertension\n"
        "Medication on discharge: ramipril 5 mg once daily"
    ),
    "en, no new lines": (
        "Patient Name Luis Ortega Date of Birth 1975-11-30 Member ID XQR 8841772 Reason for admission chest pain History "
        "hypertension, type 2 diabetes Treatment aspirin, metformin Discharged home in stable condition"
    ),
    "en, lower case": (
        "pls summarise: pt jane whitcombe dob 3/7/82 mrn 00482213 came in w/ asthma attack, given prednisolone, discharged "
        "next day, follow-up in clinic"
    ),
    "en, table": (
        "| Patient | Date of birth | Insurance no. |\n|---|---|---|\n| Harold Finch | 17.05.1959 | A123456780 |\n\n"
        "Findings: fracture of the left radius. Surgery on 3 June, no complications. Pain medication as needed."
    ),
    "en, zero width in the number": (
        "Discharge letter for Anna Bell, born 05.06.1970, health insurance number A\u200b123\u200b456\u200b780. Diagnosis: "
        "breast cancer, chemotherapy completed."
    ),
    "en, full-width digits": (
        "Discharge letter for Anna Bell, date of birth ０５.０６.１９７０, health insurance number Ａ１２３４５６７８０. "
        "Diagnosis: hepatitis B."
    ),
    "en, only initials and a record number": (
        "Pt A.B., MRN: 88213307. Dx: bipolar disorder. Lithium 400 mg once daily. Seen on the ward, discharged on Friday."
    ),
    "en, e-mail with soft hyphens": (
        "Fwd: Mrs Ed\u00adith Crane (D\u00adOB 21-Jan-1944, medi\u00adcare number 1EG4-TE5-MK73) was admitted with a stroke and "
        "is now on anticoagulant medication."
    ),
    "de, letter": (
        "Sehr geehrte Frau Kollegin,\n\nwir berichten über Herrn Jürgen Wolfram, geb. 23.04.1957, Versichertennummer "
        "K482910375, der sich vom 3. bis 11. Februar in unserer stationären Behandlung befand.\n\n"
        "Diagnosen: Vorhofflimmern, arterielle Hypertonie.\nMedikation bei Entlassung: Ramipril 5 mg 1-0-0"
    ),
    "de, form": (
        "Entlassungsbericht\nName: Petra Lindenau\nGeburtsdatum: 1. Juli 1983\nKrankenversicherten-Nr.: A123456780\n"
        "Aufnahme: 12.01.2026\nBefund: akute Appendizitis, Operation am Aufnahmetag\nTherapie: Antibiotika"
    ),
    "de, no new lines, lower case": (
        "arztbrief frau sabine krull geboren am 14.08.1990 patientennummer 7730214 diagnose depressive episode behandlung "
        "mit sertralin 50 mg täglich kontrolle in vier wochen"
    ),
    "fr, letter": (
        "Cher confrère,\n\nNous avons pris en charge Mme Hélène Garnier, née le 14/05/1985, n° de sécurité sociale "
        "2 85 05 78 006 084 91, hospitalisée pour une pneumonie. Traitement : amoxicilline 1 g trois fois par jour."
    ),
    "fr, form": (
        "COMPTE RENDU D'HOSPITALISATION\nNom : Moreau\nPrénom : Lucien\nDate de naissance : 3 février 1949\n"
        "Numéro de dossier : 20418833\nAntécédents : diabète, hypertension\nSortie le 9 mars"
    ),
    "es, letter": (
        "INFORME DE ALTA. Paciente: Carmen Ibáñez Roldán. Fecha de nacimiento: 12/10/1966. DNI 12345678Z. Nº de historia "
        "clínica: 448812. Diagnóstico: neumonía. Tratamiento: amoxicilina 500 mg cada 8 horas."
    ),
    "es, prose": (
        "Le remito a Don Julián Serrano, nacido el 3 de mayo de 1958, número de afiliación 281234567840, ingresado por "
        "infarto agudo de miocardio y dado de alta con tratamiento antiagregante."
    ),
}  # fmt: skip

#: Name and birth date, or an identifier, and nothing medical: personal.
PERSONAL = {
    "employee": "Employee record: Jonas Reuter, date of birth 12.03.1988, hired 2019, team logistics.",
    "iban": "Please transfer the rent to DE89 3704 0044 0532 0130 00, account holder Lena Vogt.",
    "iban, lower case": "please wire it to gb29nwbk60161331926819 by friday",
    "card": "My card is 4929 1235 8470 2211, expires 09/28, why is the payment refused?",
    "ssn": "The applicant gave 219-09-9999 as the number.",
    "passport": "Book the flight for Ana Pires, passport no. CB8841290.",
    "steuer-id": "Meine Steuer-ID lautet 86 095 742 719, ist sie gültig?",
    "born, numeric": "Our tenant Piet de Vries (born 04-11-1979) has not paid since May.",
    "csv": "name,date_of_birth,city\nIda Holm,1991-04-02,Aarhus\nBo Lund,1985-12-24,Odense",
    "signature": "Best regards, Tom Baker, tom.baker@example.org, +44 20 7946 0958",
    "ahv": "AHV-Nr. 756.9217.0769.85 gehört zu welcher Person?",
}  # fmt: skip

ORDINARY = (
    "Explain Einstein's theory of general relativity to a twelve-year-old.",
    "Who was Marie Curie and why did she receive two Nobel Prizes?",
    "Marie Curie, born on 7 November 1867 in Warsaw, shared the 1903 prize with Pierre Curie and died of aplastic anaemia.",
    "Write a short poem about autumn in Berlin.",
    "What is the capital of Australia, and how many people live there?",
    "Summarise the plot of Hamlet in five sentences.",
    "Compare the foreign policies of Angela Merkel and Emmanuel Macron.",
    "What are the common symptoms of diabetes, and how is it treated?",
    "How do doctors diagnose pneumonia? List the tests and their costs.",
    "What is a discharge summary and what should it contain?",
    "Draft a template for a discharge letter with placeholders for name, date of birth and insurance number.",
    "Which side effects can metformin 500 mg have?",
    "Alexander Fleming discovered penicillin in 1928 at St Mary's Hospital in London; patients were treated from 1941 on.",
    "Frida Kahlo painted in bed after surgery; her pain, her many operations and her hospital stays shaped her work.",
    "Steve Jobs was diagnosed with cancer in 2003 and presented the iPhone in January 2007.",
    "Fix this code: for i in range(10): print(i ** 2)",
    "SELECT id, created_at FROM orders WHERE status = 'open' AND total > 1000 ORDER BY created_at DESC LIMIT 50;",
    "def luhn(number: str) -> bool:\n    return sum(int(d) for d in number) % 10 == 0",
    "What is the difference between TCP and UDP?",
    "Convert 1712345678 from Unix time to a date.",
    "The ISBN is 978-0-306-40615-7; which publisher is that?",
    "Order 4500123456 shipped on 2026-03-02 in container MSKU 305438 3 from Rotterdam.",
    "Commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b broke the build; bisect says v2.13.0 was fine.",
    "The server 192.168.10.24 answers on port 8443; how do I renew its certificate?",
    "Our revenue rose from 12,345,678 to 14,820,000 euros between 2023 and 2025, that is 20 per cent.",
    "Pi is 3.14159265358979323846264338327950288.",
    "Translate into French: The meeting is on Monday at ten in room 4.",
    "Was ist der Unterschied zwischen gesetzlicher und privater Krankenversicherung?",
    "Wann wurde Goethe geboren, und welche Werke schrieb er in Weimar?",
    "Wie schreibt man einen Arztbrief? Nenne die üblichen Abschnitte: Anamnese, Befund, Diagnose, Therapie.",
    "Ich habe nie 100000 Euro auf einmal gesehen; wie legt man so viel Geld an?",
    "Quels sont les symptômes de la grippe et quel traitement est recommandé ?",
    "Victor Hugo est l'auteur des Misérables et de Notre-Dame de Paris.",
    "¿Cuáles son los síntomas de la diabetes y qué tratamiento se recomienda?",
    "Gabriel García Márquez nació en Aracataca y ganó el Nobel en 1982.",
    "What does the Social Security Administration do? It was founded in 1935 and pays about 70,000,000 people.",
    "What is a passport number for, and how many digits does an IBAN have in Germany?",
    "Case No. 12345 of the district court was decided on 4 May 2021.",
    "Please be patient: the treatment of exceptions in chapter 12 follows later.",
    "The doctor in Chekhov's Ward No. 6 is called Andrei Yefimitch Ragin.",
    "Version 3.11.7 was released on 2023-12-04, 3.12.1 on 2023-12-08 and 3.13.0 on 2024-10-07.",
    "A standard for tables: column widths 12-34-56 and 1-0-1 patterns in knitting.",
    "How do I say happy birthday in Japanese? お誕生日おめでとう is one way, and 生日快乐 is Chinese.",
)  # fmt: skip
