"""The words of dates: months and days of the week in many languages.

They are written in small letters, without accents and dots, as `feeds.reading.dates` reads a date.
The names and abbreviations are those of the Unicode CLDR, with some that people write besides.
"""

# A language, then its twelve months, each with the ways to write it.
_MONTHS = """
en: january/jan february/feb march/mar april/apr may june/jun july/jul august/aug
    september/sep/sept october/oct november/nov december/dec
de: januar/jan/janner/jaenner februar/feb marz/mar/mrz/maerz april/apr mai/may juni/jun juli/jul
    august/aug september/sept/sep oktober/okt november/nov dezember/dez
fr: janvier/janv/jan fevrier/fevr/fev mars avril/avr/av mai juin/jun juillet/juil/juill/jui aout
    septembre/sept octobre/oct novembre/nov decembre/dec
it: gennaio/gen febbraio/feb marzo/mar aprile/apr maggio/mag giugno/giu luglio/lug agosto/ago
    settembre/set/sett ottobre/ott novembre/nov dicembre/dic
es: enero/ene/ener febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago
    septiembre/sept/set/setiembre/sep octubre/oct noviembre/nov diciembre/dic
pt: janeiro/jan fevereiro/fev marco/mar abril/abr maio/mai junho/jun julho/jul agosto/ago
    setembro/set outubro/out novembro/nov dezembro/dez
ca: gener/gen febrer/febr/feb marc abril/abr maig juny/jun juliol/jul agost/ag setembre/set
    octubre/oct novembre/nov desembre/des
gl: xaneiro/xan febreiro/feb marzo/mar abril/abr maio xuno xullo/xul agosto/ago setembro/set
    outubro/out novembro/nov decembro/dec
nl: januari/jan februari/feb maart/mrt/maa april/apr mei juni/jun juli/jul augustus/aug
    september/sep oktober/okt november/nov december/dec
da: januar/jan februar/feb marts/mar april/apr maj juni/jun juli/jul august/aug september/sep
    oktober/okt november/nov december/dec
nb: januar/jan februar/feb mars/mar april/apr mai juni/jun juli/jul august/aug september/sep
    oktober/okt november/nov desember/des/dec
sv: januari/jan februari/feb mars/mar april/apr maj juni/jun juli/jul augusti/aug september/sep
    oktober/okt november/nov december/dec
fi: tammikuuta/tammi/tammikuu helmikuuta/helmi/helmikuu maaliskuuta/maalis/maaliskuu
    huhtikuuta/huhti/huhtikuu toukokuuta/touko/toukokuu kesakuuta/kesa/kesakuu
    heinakuuta/heina/heinakuu elokuuta/elo/elokuu syyskuuta/syys/syyskuu lokakuuta/loka/lokakuu
    marraskuuta/marras/marraskuu joulukuuta/joulu/joulukuu
et: jaanuar/jaan veebruar/veebr marts aprill/apr mai juuni juuli august/aug september/sept
    oktoober/okt november/nov detsember/dets
lv: janvaris/janv februaris/febr marts aprilis/apr maijs junijs/jun julijs/jul augusts/aug
    septembris/sept oktobris/okt novembris/nov decembris/dec
lt: sausio/saus/sausis vasario/vas/vasaris kovo/kov/kovas balandzio/bal/balandis
    geguzes/geg/geguze birzelio/birz/birzelis liepos/liep/liepa rugpjucio/rugp/rugpjutis
    rugsejo/rugs/rugsejis spalio/spal/spalis lapkricio/lapkr/lapkritis gruodzio/gruod/gruodis
pl: stycznia/sty/styczen lutego/lut/luty marca/mar/marzec kwietnia/kwi/kwiecien maja/maj
    czerwca/cze/czerwiec lipca/lip/lipiec sierpnia/sie/sierpien wrzesnia/wrz/wrzesien
    pazdziernika/paz/pazdziernik listopada/lis/listopad grudnia/gru/grudzien
cs: ledna/led/leden unora/uno/unor brezna/bre/brezen/brez dubna/dub/duben kvetna/kve/kveten
    cervna/cvn/cerven cervence/cvc/cervenec srpna/srp/srpen zari/zar rijna/rij/rijen
    listopadu/lis/listopad prosince/pro/prosinec
sk: januara/jan/januar februara/feb/februar marca/mar/marec aprila/apr/april maja/maj juna/jun
    jula/jul augusta/aug/august septembra/sep/september oktobra/okt/oktober
    novembra/nov/november decembra/dec/december
sl: januar/jan februar/feb marec/mar april/apr maj junij/jun julij/jul avgust/avg september/sep
    oktober/okt november/nov december/dec
hr: sijecnja/sij/sijecanj veljace/velj/veljaca ozujka/ozu/ozujak travnja/tra/travanj
    svibnja/svi/svibanj lipnja/lip/lipanj srpnja/srp/srpanj kolovoza/kol/kolovoz rujna/ruj/rujan
    listopada/lis/listopad studenoga/stu/studeni prosinca/pro/prosinac
hu: januar/jan februar/febr marcius/marc/mar aprilis/apr majus/maj junius/jun julius/jul
    augusztus/aug szeptember/szept/szep oktober/okt november/nov december/dec
ro: ianuarie/ian februarie/feb martie/mar aprilie/apr mai iunie/iun iulie/iul august/aug
    septembrie/sept octombrie/oct noiembrie/nov/noi decembrie/dec
tr: ocak/oca subat/sub mart/mar nisan/nis mayıs/may haziran/haz temmuz/tem agustos/agu eylul/eyl
    ekim/eki kasım/kas aralık/ara
id: januari/jan februari/feb maret/mar april/apr mei juni/jun juli/jul agustus/agu september/sep
    oktober/okt november/nov desember/des
ms: januari/jan februari/feb mac april/apr mei jun julai/jul ogos/ogo september/sep oktober/okt
    november/nov disember/dis
eu: urtarrila/urt otsaila/ots martxoa/mar apirila/api maiatza/mai ekaina/eka uztaila/uzt
    abuztua/abu iraila/ira urria/urr azaroa/aza abendua/abe
ru: января/янв/январь февраля/февр/февраль/фев марта/мар/март апреля/апр/апрель мая/маи
    июня/июн/июнь июля/июл/июль августа/авг/август сентября/сент/сентябрь/сен
    октября/окт/октябрь ноября/нояб/ноябрь/ноя декабря/дек/декабрь
uk: січня/січ/січень лютого/лют/лютии березня/бер/березень квітня/квіт/квітень
    травня/трав/травень червня/черв/червень липня/лип/липень серпня/серп/серпень
    вересня/вер/вересень жовтня/жовт/жовтень листопада/лист/листопад грудня/груд/грудень
bg: януари/яну февруари/фев март април/апр маи юни юли август/авг септември/сеп октомври/окт
    ноември/ное/ноем/нов декември/дек
sr: јануар/јан фебруар/феб март/мар април/апр мај јун јул август/авг септембар/сеп октобар/окт
    новембар/нов децембар/дец
el: ιανουαριου/ιαν/ιανουαριος φεβρουαριου/φεβ/φεβρουαριος μαρτιου/μαρ/μαρτιος
    απριλιου/απρ/απριλιος μαιου/μαι/μαιος ιουνιου/ιουν/ιουνιος ιουλιου/ιουλ/ιουλιος
    αυγουστου/αυγ/αυγουστος σεπτεμβριου/σεπ/σεπτεμβριος οκτωβριου/οκτ/οκτωβριος
    νοεμβριου/νοε/νοεμβριος δεκεμβριου/δεκ/δεκεμβριος
he: ינואר/ינו פברואר/פבר מרץ אפריל/אפר מאי יוני יולי אוגוסט/אוג ספטמבר/ספט אוקטובר/אוק
    נובמבר/נוב דצמבר/דצמ
ar: يناير فبراير مارس ابريل مايو يونيو يوليو اغسطس سبتمبر اكتوبر نوفمبر ديسمبر
"""

_WEEKDAYS = """
monday mon tuesday tue wednesday wed thursday thu friday fri saturday sat sunday sun montag mo
dienstag di mittwoch mi donnerstag do freitag fr samstag sa sonntag so lundi lun mardi mar
mercredi mer jeudi jeu vendredi ven samedi sam dimanche dim lunedi martedi mercoledi giovedi gio
venerdi sabato sab domenica dom lunes martes miercoles mie jueves jue viernes vie sabado domingo
segunda feira seg terca ter quarta qua quinta qui sexta sex dilluns dl dimarts dt dimecres dc
dijous dj divendres dv dissabte ds diumenge dg luns mercores xoves xov venres maandag ma dinsdag
woensdag wo donderdag vrijdag vr zaterdag za zondag zo mandag man tirsdag tirs onsdag ons torsdag
tors fredag fre lørdag lør søndag søn tir tor tisdag tis lordag lor sondag son maanantaina
maanantai tiistaina ti tiistai keskiviikkona ke keskiviikko torstaina to torstai perjantaina pe
perjantai lauantaina la lauantai sunnuntaina su sunnuntai esmaspaev teisipaev kolmapaev neljapaev
reede laupaev puhapaev pirmdiena pirmd otrdiena otrd tresdiena tresd ceturtdiena ceturtd
piektdiena piektd sestdiena sestd svetdiena svetd pirmadienis pr antradienis an treciadienis tr
ketvirtadienis kt penktadienis pn sestadienis st sekmadienis sk poniedziałek pon wtorek wt sroda
sr czwartek czw piatek pt sobota sob niedziela niedz pondeli po utery ut streda ctvrtek ct patek
pa nedele ne pondelok utorok stvrtok piatok pi nedela ponedeljek torek sreda sre cetrtek cet petek
pet nedelja ned ponedjeljak utorak uto srijeda sri cetvrtak petak subota sub nedjelja hetfo kedd
szerda sze csutortok cs pentek szombat szo vasarnap luni marti miercuri joi vineri vin sambata
duminica dum pazartesi pzt salı sal carsamba car persembe per cuma cum cumartesi cmt pazar paz
senin sen selasa sel rabu rab kamis kam jumat jum sabtu minggu min isnin isn khamis kha jumaat
ahad ahd astelehena al asteartea ar asteazkena az osteguna og ostirala or larunbata lr igandea ig
понедельник пн вторник вт среда ср четверг чт пятница пт суббота сб воскресенье вс понеділок
вівторок середа четвер пʼятниця субота неділя нд понеделник сряда четвъртък петък събота неделя
понедељак пон уторак уто сре четвртак чет петак пет суб недеља нед δευτερα δευ τριτη τρι τεταρτη
τετ πεμπτη πεμ παρασκευη παρ σαββατο σαβ κυριακη κυρ שבת الاثنين الثلاثاء الاربعاء الخميس الجمعة
السبت الاحد mittw don sonnabend thur thurs tues wednes
"""


def _months() -> dict[str, dict[int, frozenset[str]]]:
    found: dict[str, dict[int, set[str]]] = {}
    language, number = "", 0
    for part in _MONTHS.split():
        if part.endswith(":"):
            language, number = part[:-1], 0
            continue
        number += 1
        for word in part.split("/"):
            found.setdefault(word, {}).setdefault(number, set()).add(language)
    return {
        word: {month: frozenset(languages) for month, languages in months.items()}
        for word, months in found.items()
    }


# A word, the months that it can be, and in which languages it is that one.
MONTHS = _months()
WEEKDAYS = frozenset(_WEEKDAYS.split())
